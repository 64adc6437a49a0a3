"""One reader per form of annotation: `find(path)` says whether it is there, `read` reads it."""
