internal import EventLoop
internal import Glibc

/// The Unix socket of one program in a run directory, and the lock that says whose it is.
///
/// The lock is a file beside the socket, held as long as the process lives: a socket whose lock is free is left over
/// from a process that died, and is replaced; one whose lock is held belongs to a live program, and is left alone.
struct ControlSocket: Sendable {
    /// The listening descriptor; whoever listens on it closes it.
    let listener: Int32
    private let path: String
    private let lock: Int32

    init(_ path: String) throws(AdminFailure) {
        guard path.hasPrefix("/"), let slash = path.lastIndex(of: "/"), path.utf8.count < 108 else {
            throw AdminFailure(
                "control socket \(path): a Unix socket's path is absolute and shorter than 108 bytes; "
                    + "choose another --run-dir")
        }
        try Self.makeDirectory(String(path[..<slash]))
        self.path = path
        lock = open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Self.failure("control socket \(path).lock", "open", errno) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let owner = Self.owner(lock)
            Glibc.close(lock)
            throw AdminFailure(
                "control socket \(path): \(owner) is running and has it; "
                    + "stop that one first, or give this one another --run-dir")
        }
        var information = stat()
        if lstat(path, &information) == 0 {
            guard information.st_mode & S_IFMT == S_IFSOCK else {
                Glibc.close(lock)
                throw AdminFailure("control socket \(path): a file of another kind is there; remove it")
            }
            unlink(path)
        }
        listener = Kernel.unixListen(path, backlog: 64, mode: 0o600)
        guard listener >= 0 else {
            Glibc.close(lock)
            throw Self.failure("control socket \(path)", "bind", -listener)
        }
        sign()
    }

    /// Goes on with the socket and the lock of the program before this one.
    init(_ path: String, listener: Int32, lock: Int32) {
        self.path = path
        self.listener = listener
        self.lock = lock
    }

    /// The lock's descriptor, valid until ``remove()`` or ``leave()``.
    var lockNumber: Int32 { lock }

    /// Writes into the lock whose it is now.
    func sign() {
        _ = ftruncate(lock, 0)
        let pid = "\(getpid())\n"
        _ = pid.withCString { pwrite(lock, $0, pid.utf8.count, 0) }
    }

    /// Leaves socket and lock to the program that has copies of both.
    func leave() {
        Glibc.close(lock)
    }

    /// Takes the socket away and frees the lock; the listener is closed by its owner.
    func remove() {
        unlink(path)
        Glibc.close(lock)
    }

    private static func failure(_ what: String, _ call: String, _ code: Int32) -> AdminFailure {
        AdminFailure("\(what): \(SystemError(call, code)); run as root, or choose a --run-dir you may write to")
    }

    private static func owner(_ lock: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(lock, &buffer, buffer.count, 0)
        let digits = buffer.prefix(max(0, count)).prefix { (48...57).contains($0) }
        return digits.isEmpty ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
    }

    private static func makeDirectory(_ path: String) throws(AdminFailure) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o755) != 0, errno != EEXIST {
                throw failure("run directory \(made)", "mkdir", errno)
            }
        }
    }
}
