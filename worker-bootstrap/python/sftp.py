"""An SFTP server, version 3 (draft-ietf-secsh-filexfer-02), with those of OpenSSH's extensions that its clients use.

Here because a supplier's machine need not have one; what it may touch is what its process may: it runs inside the lease.
Requests are answered one after the other, in their order.
"""

import errno
import os
import stat
import struct
import time

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR = range(3, 16)
REALPATH, STAT, RENAME, READLINK, SYMLINK = range(16, 21)
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, _, _, OP_UNSUPPORTED = range(9)
ATTR_SIZE, ATTR_UIDGID, ATTR_PERMISSIONS, ATTR_TIMES = 1, 2, 4, 8
OPEN_READ, OPEN_WRITE, OPEN_APPEND, OPEN_CREAT, OPEN_TRUNC, OPEN_EXCL = 1, 2, 4, 8, 16, 32

LONGEST_PACKET = 256 * 1024 + 1024
LONGEST_READ = 256 * 1024
LONGEST_WRITE = 256 * 1024
NAMES_AT_ONCE = 100
MOST_HANDLES = 1024
EXTENSIONS = [
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"hardlink@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"expand-path@openssh.com", b"1"),
]


class Bad(Exception):
    """A packet that cannot be read."""


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Bad("a packet is too short")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.take(8))[0]

    def string(self):
        return bytes(self.take(self.u32()))

    def path(self):
        path = self.string()
        if b"\0" in path:
            raise OSError(errno.EINVAL, "a path holds a zero byte")
        return path or b"."

    def attributes(self):
        flags = self.u32()
        found = {}
        if flags & ATTR_SIZE:
            found["size"] = self.u64()
        if flags & ATTR_UIDGID:
            found["owner"] = (self.u32(), self.u32())
        if flags & ATTR_PERMISSIONS:
            found["mode"] = stat.S_IMODE(self.u32())
        if flags & ATTR_TIMES:
            found["times"] = (self.u32(), self.u32())
        return found


def string(data):
    return struct.pack(">I", len(data)) + data


def attributes(info):
    flags = ATTR_SIZE | ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_TIMES
    times = [min(max(int(time), 0), 0xFFFFFFFF) for time in (info.st_atime, info.st_mtime)]
    return struct.pack(">IQIIIII", flags, info.st_size, info.st_uid, info.st_gid, info.st_mode, *times)


def long_name(name, info):
    when = time.strftime("%b %e %Y", time.localtime(info.st_mtime)).encode()
    return b"%s %4d %-8d %-8d %12d %s %s" % (
        stat.filemode(info.st_mode).encode(),
        info.st_nlink,
        info.st_uid,
        info.st_gid,
        info.st_size,
        when,
        name,
    )


class Server:
    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.handles = {}
        self.next_handle = 0
        self.simple = {
            OPEN: self.open,
            CLOSE: self.close,
            READ: self.read,
            WRITE: self.write,
            LSTAT: lambda r: self.attrs(os.lstat(r.path())),
            STAT: lambda r: self.attrs(os.stat(r.path())),
            FSTAT: lambda r: self.attrs(os.fstat(self.file(r))),
            SETSTAT: lambda r: change(r.path(), r.attributes()),
            FSETSTAT: lambda r: change(self.file(r), r.attributes()),
            OPENDIR: self.open_directory,
            READDIR: self.read_directory,
            REMOVE: lambda r: os.unlink(r.path()),
            MKDIR: self.make_directory,
            RMDIR: lambda r: os.rmdir(r.path()),
            REALPATH: lambda r: names([os.path.realpath(r.path())]),
            RENAME: self.rename,
            READLINK: lambda r: names([os.readlink(r.path())]),
            # OpenSSH has the two the other way round than the draft, and all the world with it.
            SYMLINK: lambda r: os.symlink(r.path(), r.path()),
            EXTENDED: self.extended,
        }

    def run(self):
        while True:
            head = self.receive(4)
            if head is None:
                return
            (length,) = struct.unpack(">I", head)
            if not 1 <= length <= LONGEST_PACKET:
                raise Bad(f"a packet of {length} bytes")
            packet = self.receive(length)
            if packet is None:
                return
            if packet[0] == INIT:
                self.send(bytes([VERSION]) + struct.pack(">I", 3) + b"".join(string(a) + string(b) for a, b in EXTENSIONS))
            else:
                self.answer(packet[0], Reader(memoryview(packet)[1:]))

    def answer(self, kind, reader):
        request = reader.u32()
        handler = self.simple.get(kind)
        try:
            if handler is None:
                reply = status(OP_UNSUPPORTED, "this request is not known here")
            else:
                reply = handler(reader)
        except Bad as error:
            reply = status(BAD_MESSAGE, str(error))
        except OSError as error:
            reply = status(code_of(error), error.strerror or str(error))
        kind, body = reply if reply is not None else status(OK, "")
        self.send(bytes([kind]) + struct.pack(">I", request), body)

    def receive(self, count):
        pieces = []
        while count:
            piece = os.read(self.source, count)
            if not piece:
                return None
            pieces.append(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def send(self, head, body=b""):
        left = [memoryview(struct.pack(">I", len(head) + len(body)) + head), memoryview(body)]
        while left:
            written = os.writev(self.target, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left and written:
                left[0] = left[0][written:]

    def keep(self, what):
        if len(self.handles) >= MOST_HANDLES:
            raise OSError(errno.EMFILE, "too many open files")
        self.next_handle += 1
        name = b"%d" % self.next_handle
        self.handles[name] = what
        return HANDLE, string(name)

    def file(self, reader):
        handle = self.handles.get(reader.string())
        if not isinstance(handle, int):
            raise OSError(errno.EBADF, "no such handle")
        return handle

    def open(self, reader):
        path, wanted, attributes_wanted = reader.path(), reader.u32(), reader.attributes()
        flags = os.O_CLOEXEC
        if wanted & OPEN_READ and wanted & OPEN_WRITE:
            flags |= os.O_RDWR
        elif wanted & OPEN_WRITE:
            flags |= os.O_WRONLY
        for bit, flag in ((OPEN_APPEND, os.O_APPEND), (OPEN_CREAT, os.O_CREAT), (OPEN_TRUNC, os.O_TRUNC), (OPEN_EXCL, os.O_EXCL)):
            flags |= flag if wanted & bit else 0
        fd = os.open(path, flags, attributes_wanted.get("mode", 0o666))
        try:
            return self.keep(fd)
        except OSError:
            os.close(fd)
            raise

    def close(self, reader):
        handle = self.handles.pop(reader.string(), None)
        if handle is None:
            raise OSError(errno.EBADF, "no such handle")
        if isinstance(handle, int):
            os.close(handle)
        else:
            handle.close()

    def read(self, reader):
        fd, offset, count = self.file(reader), reader.u64(), reader.u32()
        data = os.pread(fd, min(count, LONGEST_READ), offset)
        return (DATA, string(data)) if data else status(EOF, "")

    def write(self, reader):
        fd, offset, length = self.file(reader), reader.u64(), reader.u32()
        data = reader.take(length)
        while len(data):
            written = os.pwrite(fd, data, offset)
            data, offset = data[written:], offset + written

    def attrs(self, info):
        return ATTRS, attributes(info)

    def open_directory(self, reader):
        return self.keep(os.scandir(reader.path()))

    def read_directory(self, reader):
        handle = self.handles.get(reader.string())
        if handle is None or isinstance(handle, int):
            raise OSError(errno.EBADF, "no such handle")
        entries = []
        for entry in handle:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:  # it has gone meanwhile
                continue
            entries.append(string(entry.name) + string(long_name(entry.name, info)) + attributes(info))
            if len(entries) == NAMES_AT_ONCE:
                break
        if not entries:
            return status(EOF, "")
        return NAME, struct.pack(">I", len(entries)) + b"".join(entries)

    def make_directory(self, reader):
        os.mkdir(reader.path(), reader.attributes().get("mode", 0o777))

    def rename(self, reader):
        """Version 3 has it fail where the target exists."""
        source, target = reader.path(), reader.path()
        if os.path.lexists(target):
            raise OSError(errno.EEXIST, "the target exists")
        os.rename(source, target)

    def extended(self, reader):
        name = reader.string()
        if name == b"posix-rename@openssh.com":
            os.rename(reader.path(), reader.path())
        elif name == b"hardlink@openssh.com":
            os.link(reader.path(), reader.path(), follow_symlinks=False)
        elif name == b"fsync@openssh.com":
            os.fsync(self.file(reader))
        elif name == b"lsetstat@openssh.com":
            change(reader.path(), reader.attributes(), follow_symlinks=False)
        elif name == b"statvfs@openssh.com":
            return EXTENDED_REPLY, file_system(os.statvfs(reader.path()))
        elif name == b"limits@openssh.com":
            return EXTENDED_REPLY, struct.pack(">QQQQ", LONGEST_PACKET, LONGEST_READ, LONGEST_WRITE, MOST_HANDLES)
        elif name == b"expand-path@openssh.com":
            return names([os.path.realpath(os.path.expanduser(reader.path()))])
        else:
            return status(OP_UNSUPPORTED, "this extension is not known here")
        return None


def status(code, message):
    return STATUS, struct.pack(">I", code) + string(message.encode("utf-8", "replace")) + string(b"")


def code_of(error):
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP):
        return NO_SUCH_FILE
    if error.errno in (errno.EPERM, errno.EACCES, errno.EFAULT):
        return PERMISSION_DENIED
    return FAILURE


def names(paths):
    return NAME, struct.pack(">I", len(paths)) + b"".join(string(one) + string(one) + struct.pack(">I", 0) for one in paths)


def change(what, wanted, follow_symlinks=True):
    """`what`: a path or an open file."""
    more = {} if follow_symlinks else {"follow_symlinks": False}
    if "size" in wanted:
        os.truncate(what, wanted["size"])
    if "owner" in wanted:
        os.chown(what, *wanted["owner"], **more)
    if "mode" in wanted and follow_symlinks:
        os.chmod(what, wanted["mode"])
    if "times" in wanted:
        os.utime(what, wanted["times"], **more)


def file_system(info):
    flags = (1 if info.f_flag & os.ST_RDONLY else 0) | (2 if info.f_flag & os.ST_NOSUID else 0)
    sizes = (info.f_bsize, info.f_frsize, info.f_blocks, info.f_bfree, info.f_bavail)
    return struct.pack(">11Q", *sizes, info.f_files, info.f_ffree, info.f_favail, info.f_fsid, flags, info.f_namemax)


def serve(source, target):
    """Until `source` ends or the other side has gone."""
    try:
        Server(source, target).run()
    except (Bad, BrokenPipeError):
        return
