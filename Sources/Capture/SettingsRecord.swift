internal import CLinux
internal import CaptureBPF
internal import EventLoop
internal import Glibc

/// What kernel settings of one pod's network namespace were before ztund changed them, in a file: so that a ztund that is killed
/// does not take it along, and the next one, or `ztund node cleanup`, gives the pod its own values back. Control thread only.
///
/// A line for each setting, written before the setting is. The file has the name of the namespace's inode, and begins with the
/// boot and the namespace's cookie, since inodes are given out again. A file that cannot be written costs the values, not
/// the enrolment.
final class SettingsRecord {
    /// The values by the files of `/proc/sys` that had them.
    private(set) var values: [String: String] = [:]
    private let folder: String
    private let file: String
    private let head: String
    private var isWritten = false
    /// Longer ones are not ours.
    private static let limit = 8192

    /// The record of a namespace, which may have one already.
    ///
    /// - Parameters:
    ///   - folder: where the records of a node are; made when the first one is written.
    ///   - cookie: the namespace's own number; 0 where the kernel has none.
    init(in folder: String, of namespace: NetworkNamespace.Identity, cookie: UInt64) {
        self.folder = folder
        file = "\(folder)/\(namespace.inode)"
        head = "ztun settings of \(Self.boot) \(cookie)"
        guard let values = Self.values(in: Self.read(file), head: head) else { return }
        self.values = values
        isWritten = true
    }

    /// As the initialiser, for whoever has no socket in the namespace; nil where there is no record of it.
    static func existing(in folder: String, of namespace: NetworkNamespace) -> SettingsRecord? {
        let cookie = try? namespace.run { () throws(SystemError) -> UInt64 in
            let socket = Descriptor(owning: try SystemError.check("socket", zt_socket_tcp(0)))
            var cookie: UInt64 = 0
            return zt_netns_cookie(socket.number, &cookie) == 0 ? cookie : 0
        }
        guard let cookie else { return nil }
        let record = SettingsRecord(in: folder, of: namespace.identity, cookie: cookie)
        return record.isWritten ? record : nil
    }

    /// Makes the file, if there is none: from now on what it does not name was never changed.
    func begin() {
        guard !isWritten else { return }
        mkdir(folder, 0o700)
        unlink(file)
        isWritten = append(head)
    }

    /// Writes down what a setting is before it is changed.
    func note(_ path: String, _ value: String) {
        guard values[path] != value else { return }
        begin()
        values[path] = value
        _ = append("\(path) \(value)")
    }

    /// Gives all settings their values back.
    ///
    /// - Returns: those that were others, in words.
    func restore(in namespace: NetworkNamespace, isDry: Bool = false) -> [String] {
        values.sorted { $0.key < $1.key }.compactMap { path, value in
            guard let found = PodSettings.read(path, in: namespace), found != value else { return nil }
            if !isDry, (try? PodSettings.write(value, to: path, in: namespace)) == nil { return nil }
            return "\(path) is \(escaped(value)) again"
        }
    }

    /// Forgets them: nothing is changed any more.
    func remove() {
        values = [:]
        isWritten = false
        unlink(file)
        // Only when it was the last.
        rmdir(folder)
    }

    private func append(_ line: String) -> Bool {
        let number = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard number >= 0 else { return false }
        defer { close(number) }
        let bytes = Array((line + "\n").utf8)
        return write(number, bytes, bytes.count) == bytes.count
    }

    private static func read(_ path: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: limit) { buffer in
            let count = zt_read_file(path, buffer.baseAddress, Int32(limit))
            return String(decoding: buffer.prefix(Int(max(0, count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// The values in a file's text; nil when its head is another. Of two lines for one setting the last one holds; a line that was
    /// not written whole, and whatever is no setting of the network, is nothing.
    static func values(in text: String, head: String) -> [String: String]? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let first = lines.first, first == head, lines.count > 1 else { return nil }
        var values: [String: String] = [:]
        for line in lines.dropFirst().dropLast() {
            guard let space = line.firstIndex(of: " ") else { continue }
            let (path, value) = (line[..<space], line[line.index(after: space)...])
            guard path.hasPrefix("/proc/sys/net/"), !path.contains(".."), !value.isEmpty else { continue }
            values[String(path)] = String(value)
        }
        return values
    }

    /// What tells this run of the kernel from those before.
    private static let boot: String = {
        let text = read("/proc/sys/kernel/random/boot_id")
        return String(text.prefix { $0 != "\n" })
    }()
}
