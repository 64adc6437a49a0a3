"""The commands of `kedge`, one small file each. What is heavy is imported inside them."""
