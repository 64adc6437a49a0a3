"""Inside other frameworks: snippets for their configurations, and the seams of ``accelerate``."""
