internal import Glibc

/// Where a ztund's BPF programs and maps are pinned when nobody says where.
///
/// Each run directory has a folder of its own, so that two ztunds on one machine keep apart, and one that comes after another in
/// the same run directory finds what that one left.
package enum BPFFolder {
    /// The folder of the ztund with the usual run directory; those of others are in it.
    package static let root = "/sys/fs/bpf/ztun"

    /// The folder for a run directory, which need not exist.
    ///
    /// - Parameter standard: the run directory of a ztund that was told none.
    package static func usual(runDirectory: String, standard: String) -> String {
        let place = resolved(runDirectory)
        return place == resolved(standard) ? root : "\(root)/\(name(of: place))"
    }

    /// One name for each path: its last part for people, and a hash of all of it (FNV-1a, 64 bits). A BPF file system takes no dots.
    package static func name(of path: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        let last = path.utf8.split(separator: UInt8(ascii: "/")).last ?? path.utf8[...]
        let readable = last.prefix(32).map { byte in
            let isPlain = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            return isPlain ? byte : UInt8(ascii: "-")
        }
        return String(decoding: readable, as: UTF8.self) + "-" + String(repeating: "0", count: 16 - digits.count)
            + digits
    }

    /// The path without links, as far as it exists, and without what says nothing.
    package static func resolved(_ path: String) -> String {
        var parts = path.split(separator: "/").filter { $0 != "." }
        var missing: [Substring] = []
        let start = path.hasPrefix("/") ? "/" : ""
        while true {
            let existing = start + parts.joined(separator: "/")
            if let found = realpath(existing.isEmpty ? "." : existing, nil) {
                defer { free(found) }
                let text = String(cString: found)
                return missing.isEmpty ? text : (text == "/" ? "" : text) + "/" + missing.joined(separator: "/")
            }
            guard let last = parts.popLast() else { return path }
            missing.insert(last, at: 0)
        }
    }

    /// The folders in which ztunds may have pinned something where nobody said where.
    static func all(below root: String = root) -> [String] {
        let inside = NamespaceCensus.entries(of: root).sorted().filter { !isLayout($0) }
        return [root] + inside.map { "\(root)/\($0)" }
    }

    /// Runs the closure unless a ztund lives that has maps in the folder; none can begin to use them meanwhile.
    ///
    /// - Returns: whether it was run.
    static func whileUnused(_ folder: String, _ work: () -> Void) -> Bool {
        var claims: [Int32] = []
        defer { for claim in claims { close(claim) } }
        for layout in NamespaceCensus.entries(of: folder) where isLayout(layout) {
            let claim = open("\(folder)/\(layout)", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
            guard claim >= 0 else { continue }
            claims.append(claim)
            guard flock(claim, LOCK_EX | LOCK_NB) == 0 else { return false }
        }
        work()
        return true
    }

    /// The root goes when nobody has anything in it any more.
    static func removeEmptyRoot(above folder: String) {
        if folder.hasPrefix(root + "/") { rmdir(root) }
    }

    /// "v1" and its like, which hold the maps of one layout.
    static func isLayout(_ name: String) -> Bool {
        name.utf8.first == UInt8(ascii: "v") && name.utf8.count > 1
            && name.utf8.dropFirst().allSatisfy { (48...57).contains($0) }
    }
}
