"""What the errors of each platform and of its libraries mean: data, and how to read it.

A row has what an error means for a read, and for a change where that is something else: a
change whose answer was lost may have happened. Errors are known by name, so that nothing here
imports a platform's library.
"""
