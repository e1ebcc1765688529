internal import Glibc
internal import Telemetry

/// Tells that files may have changed, as soon as the kernel knows: inotify on the folders they lie in.
///
/// Folders are watched, not files, so that editors' renames, Kubernetes' swapped symbolic links and files that are not
/// there yet are seen alike. A missing folder is awaited in the nearest one above it that exists, a file behind a symbolic
/// link also where the link leads to. It only says "look": what is read, and when, is decided by ``FileWatch``. A rename further
/// up the path is not seen, nor are changes on network and other file systems without notice: that is for the poll beside
/// it.
package final class FolderWatch: Sendable {
    /// Readable when something happened; owned by this object.
    let descriptor: Int32
    private let state: Lock<State>

    private struct State {
        /// The files, as they are asked for.
        var paths: Set<String> = []
        /// Names in each watched folder that matter; a folder's own end always does.
        var names: [Int32: Set<String>] = [:]
    }

    /// Stands for every name in its folder (`manifests/*`).
    static let everyName = "*"

    /// What a watched folder tells: files complete or in their place, links swapped, the folder itself going away.
    private static let events = UInt32(
        IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
            | IN_ONLYDIR)

    /// - Throws: ``ControlThreadFailure`` when the system has no inotify instance left.
    package init() throws(ControlThreadFailure) {
        descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { throw ControlThreadFailure(call: "inotify_init1", code: errno) }
        state = Lock(State())
    }

    deinit { close(descriptor) }

    /// Looks after these files from now on, and follows where their folders and links have moved to; cheap when nothing
    /// has. Call it before the files are looked at, so that no change falls between.
    package func follow(_ paths: Set<String>) {
        state.withLock { state in
            state.paths = paths
            arm(&state)
        }
    }

    /// Takes what has happened.
    /// - Returns: whether a file that is looked after may have changed.
    package func take() -> Bool {
        state.withLock { state in
            var isTouched = false
            withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 8) { buffer in
                while true {
                    let count = read(descriptor, buffer.baseAddress, buffer.count)
                    guard count > 0 else { return }
                    isTouched =
                        Self.touches(UnsafeRawBufferPointer(rebasing: buffer[..<count]), state.names) || isTouched
                }
            }
            return isTouched
        }
    }

    /// Whether one of the kernel's records is about a name that matters.
    private static func touches(_ records: UnsafeRawBufferPointer, _ names: [Int32: Set<String>]) -> Bool {
        let headSize = MemoryLayout<inotify_event>.size
        var offset = 0
        var isTouched = false
        while offset + headSize <= records.count {
            // Records are padded so that each is aligned.
            let event = records.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
            let length = Int(event.len)
            guard offset + headSize + length <= records.count else { break }
            // The end of a watch is no news: what ended it came before, or it was our own doing.
            let isOwn = length == 0 && event.mask & UInt32(IN_IGNORED) == 0
            let name = String(
                decoding: records[(offset + headSize)..<(offset + headSize + length)].prefix { $0 != 0 }, as: UTF8.self)
            if isOwn { isTouched = true }
            if let wanted = names[event.wd], wanted.contains(name) || wanted.contains(everyName) { isTouched = true }
            offset += headSize + length
        }
        return isTouched
    }

    /// Watches the folders that the files depend on now, and no others.
    private func arm(_ state: inout State) {
        var names: [Int32: Set<String>] = [:]
        for path in state.paths {
            for (folder, name) in Self.places(of: path) {
                let watch = inotify_add_watch(descriptor, folder, Self.events)
                guard watch >= 0 else { continue }
                names[watch, default: []].insert(name)
            }
        }
        for watch in state.names.keys where names[watch] == nil { _ = inotify_rm_watch(descriptor, watch) }
        state.names = names
    }

    /// The folders whose entries decide what a path leads to, with the entry in each: the folder of the path, that of
    /// every link on the way, and for what does not exist the nearest folder above.
    static func places(of path: String) -> [(folder: String, name: String)] {
        var places: [(folder: String, name: String)] = []
        var queue = [path]
        var linksLeft = 16
        while let next = queue.popLast() {
            let (folder, name) = split(next)
            guard !name.isEmpty else { continue }
            if access(folder, F_OK) != 0 {
                // Its nearest folder that exists is where it will begin to.
                queue.append(folder)
                continue
            }
            places.append((folder, name))
            guard linksLeft > 0 else { continue }
            // Kubernetes has `file -> ..data/file` and `..data -> ..stamp`: each link on the way lies somewhere.
            for link in links(on: next) {
                linksLeft -= 1
                let (folder, name) = split(link.path)
                places.append((folder, name))
                queue.append(link.target)
            }
        }
        return places
    }

    /// The first symbolic link among the parts of a path, with where it leads the path to.
    private static func links(on path: String) -> [(path: String, target: String)] {
        var walked = path.hasPrefix("/") ? "/" : ""
        var parts = path.split(separator: "/")[...]
        while let part = parts.popFirst() {
            let folder = walked
            walked += walked.isEmpty || walked.hasSuffix("/") ? String(part) : "/\(part)"
            guard let target = readLink(walked) else { continue }
            let start = target.hasPrefix("/") ? target : folder.isEmpty ? target : "\(folder)/\(target)"
            return [(walked, ([start] + parts.map(String.init)).joined(separator: "/"))]
        }
        return []
    }

    private static func readLink(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(byteCount: Int(PATH_MAX), alignment: 1) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink(path, base.assumingMemoryBound(to: CChar.self), buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    private static func split(_ path: String) -> (folder: String, name: String) {
        var path = path[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
        let folder = path[..<slash]
        return (folder.isEmpty ? "/" : String(folder), String(path[path.index(after: slash)...]))
    }
}
