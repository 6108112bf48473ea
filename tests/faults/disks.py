"""Disks that can be filled, cut off and put back, for tests that may mount."""

import fcntl
import os
import shutil
import struct
import subprocess
import time

import pytest
from support.apps import until

FLUSH, FLUSH_THE_LOG, LOSE_THE_LOG = 0, 1, 2
"""What a file system that is shut down does first with what it has not written yet."""

_EXT4_IOC_SHUTDOWN = 0x8004587D


class Disk:
    """A file system of its own, mounted on *path*. *image*: the file that has its content."""

    def __init__(self, path, mount, image=None):
        self.path = path
        self._mount = mount if image is None else [*mount, image]
        self._image = image
        path.mkdir()
        self.is_mounted = False
        self.mount()

    def mount(self):
        mounted = run("mount", *self._mount, self.path)
        if mounted.returncode != 0:
            pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.splitlines()[0]}")
        self.is_mounted = True
        self.path.chmod(0o700)

    def unmount(self):
        # A process that was just killed may not have let go of it yet.
        for _ in range(100):
            unmounted = run("umount", self.path)
            if unmounted.returncode == 0:
                self.is_mounted = False
                break
            time.sleep(0.05)
        else:
            raise AssertionError(unmounted.stderr)
        # A process that entered a mount namespace of its own in the meantime has it there as well.
        # Until that process ends, mounting would give back the file system that was shut down.
        if self._image is not None:
            until(
                lambda: not run("losetup", "-j", self._image).stdout, "the end of its other mounts"
            )

    def fill(self):
        """Take all the room there is, to the last byte."""
        size = 2**20
        with self._filler.open("ab", buffering=0) as file:
            while size:
                try:
                    if file.write(bytes(size)) < size:
                        size //= 2
                except OSError:
                    size //= 2

    def make_room(self):
        self._filler.unlink()

    def make_read_only(self):
        made = run("mount", "-o", "remount,ro", self.path)
        assert made.returncode == 0, made.stderr

    def shut_down(self, how):
        """Let nothing more be written, as after an I/O error or a power cut."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _EXT4_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(directory)

    @property
    def _filler(self):
        return self.path / "filler"


def run(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no command {command[0]} here")
    return subprocess.run(  # noqa: S603 - the tests' own
        [*map(str, command)], check=False, capture_output=True, text=True
    )
