internal import Glibc

/// The files of an embedded authority, and the lock that keeps two processes from making it twice.
struct CertificateAuthorityDirectory {
    let path: String
    var certificatePath: String { "\(path)/ca.crt" }
    var keyPath: String { "\(path)/ca.key" }
    var rootsPath: String { "\(path)/ca.roots" }
    var rootsVersion: FileVersion? { FileVersion(path: rootsPath) }
    private var lockPath: String { "\(path)/ca.lock" }
    /// What to do about an authority that cannot be used.
    var remedy: String { "remove ca.crt and ca.key there to have a new one made, then restart every node that uses it" }

    /// Longest accepted file, in bytes.
    private static let limit = 1 << 20
    /// How long another process may hold the lock, in milliseconds.
    private static let patience = 10_000

    init(path: String) {
        self.path = path
    }

    /// Whether both files are there.
    /// - Throws: when only one is: making a new pair would silently replace an authority in use.
    var isComplete: Bool {
        get throws(CertificateError) {
            let certificate = access(certificatePath, F_OK) == 0
            let key = access(keyPath, F_OK) == 0
            // The key is written first, so a key alone is what an interrupted creation leaves.
            if certificate, !key { throw CertificateError("\(keyPath) is missing; \(remedy)") }
            return certificate && key
        }
    }

    func read() throws(CertificateError) -> (certificate: FileContents, key: FileContents) {
        let key = try FileContents(path: keyPath, limit: Self.limit)
        guard key.mode & 0o077 == 0 else {
            throw CertificateError(
                "\(keyPath) can be read by others (mode 0\(String(key.mode, radix: 8))); chmod 600 it")
        }
        return (try FileContents(path: certificatePath, limit: Self.limit), key)
    }

    /// Writes both, the certificate last: it is what says that the authority exists.
    func write(keyPEM: [UInt8], certificatePEM: [UInt8]) throws(CertificateError) {
        try replace(keyPath, with: keyPEM, mode: 0o600)
        try replace(certificatePath, with: certificatePEM, mode: 0o644)
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "cannot be opened") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(path, "cannot be written") }
    }

    /// The roots accepted beside the authority; none when there is no such file.
    func acceptedRoots() throws(CertificateError) -> [AcceptedRoot] {
        guard rootsVersion != nil else { return [] }
        return try AcceptedRoot.list(FileContents(path: rootsPath, limit: Self.limit).bytes, source: rootsPath)
    }

    func write(roots: [AcceptedRoot]) throws(CertificateError) {
        try replace(rootsPath, with: roots.flatMap(\.text), mode: 0o644)
    }

    /// Holds the directory for this process; makes it (0700) when it is not there.
    func lock() throws(CertificateError) -> Lock {
        try makeDirectory(path)
        let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure(lockPath, "cannot be opened") }
        for _ in 0..<(Self.patience / 10) {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return Lock(descriptor: descriptor) }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            // flock has no deadline of its own.
            _ = poll(nil, 0, 10)
        }
        let code = errno
        close(descriptor)
        errno = code
        throw failure(lockPath, "cannot be locked")
    }

    struct Lock {
        fileprivate let descriptor: Int32

        func release() {
            // Closing the last descriptor of the open file releases its lock.
            close(descriptor)
        }
    }

    private func makeDirectory(_ path: String) throws(CertificateError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else {
            throw failure(path, "cannot be made")
        }
        try makeDirectory(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure(path, "cannot be made") }
    }

    private func replace(_ path: String, with bytes: [UInt8], mode: mode_t) throws(CertificateError) {
        // The lock makes the name ours; what an interrupted run left under it is replaced.
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure(temporary, "cannot be made") }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(temporary, "cannot be written") }
            written += count
        }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw failure(path, "cannot be written") }
    }

    private func failure(_ path: String, _ what: String) -> CertificateError {
        CertificateError("\(path) \(what): \(String(cString: strerror(errno)))")
    }
}
