"""The same verbs where a catalog knows the objects: it decides, the backends hold bytes."""
