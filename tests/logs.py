"""What is logged while a test does something."""

import io

from twisted.logger import globalLogPublisher, textFileLogObserver


def logged(work):
    """Do some work and give the log's lines of it."""
    written = io.StringIO()
    observer = textFileLogObserver(written)
    globalLogPublisher.addObserver(observer)
    try:
        work()
    finally:
        globalLogPublisher.removeObserver(observer)
    return written.getvalue()
