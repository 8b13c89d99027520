"""Tables, versions, validation, splits and histories: from a folder to integer arrays."""
