"""Gives a command the terminal on its standard input as its own, so that Ctrl-C and job control work there.

In: the command, as arguments.  Out: the command, in this process. Runs by its path, with the standard library alone.
"""

import fcntl
import os
import sys
import termios

NOT_FOUND = 127

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - a command is what was asked for
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
