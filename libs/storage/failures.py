"""How does opening a folder fail?

StorageError
├── Locked             another process writes here
├── NewerFormat        a newer version of Cohort wrote this
├── Damaged            the file is not what was written
└── Absent             opened to read, and nobody has written yet
"""


class StorageError(Exception):
    """A folder that cannot be opened. The message is for the person who starts the server."""


class Locked(StorageError):
    """Another process writes here."""


class NewerFormat(StorageError):
    """A newer version of Cohort wrote this."""


class Damaged(StorageError):
    """The file is not what was written, or cannot be read."""


class Absent(StorageError):
    """Opened to read, and nobody has written yet."""
