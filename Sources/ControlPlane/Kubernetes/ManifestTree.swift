internal import Glibc
internal import TLS

/// The manifest files below a folder, as `stat` sees them.
struct ManifestTree: Hashable, Sendable {
    /// Folders inside each other that are looked into.
    private static let depth = 8

    private(set) var files: [String: FileVersion] = [:]
    /// True when the path leads to nothing.
    private(set) var isMissing = false

    /// Looks at a folder, or at one file. Names that begin with a dot are left out: of a Kubernetes volume they are the
    /// folders that its visible links lead into.
    init(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            isMissing = true
            return
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            look(into: path, depth: 0)
        } else {
            files[path] = FileVersion(path: path)
        }
    }

    private mutating func look(into folder: String, depth: Int) {
        guard let handle = opendir(folder) else { return }
        defer { closedir(handle) }
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasPrefix(".") else { continue }
            let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: if depth < Self.depth { look(into: path, depth: depth + 1) }
            case S_IFREG:
                let lower = name.lowercased()
                guard [".yaml", ".yml", ".json"].contains(where: { lower.hasSuffix($0) }) else { continue }
                files[path] = FileVersion(path: path)
            default: break
            }
        }
    }
}
