internal import CLinux
internal import EventLoop
internal import Glibc

/// Takes out of a node what a ztund left that ended without doing so. Done twice it finds nothing the second time.
///
/// Kernel settings get back the values that their record in the run directory has. Where there is none, they get the kernel's
/// default, and only where something else of ours was found.
package struct NodeCleanup {
    /// What was done, in words.
    package struct Report: Sendable, Hashable {
        /// What was removed, or would be.
        package var removed: [String] = []
        /// What was left alone, and why.
        package var left: [String] = []
        /// What could not be removed, and why.
        package var failures: [String] = []

        /// Whether there was nothing of ours.
        package var isEmpty: Bool { removed.isEmpty && left.isEmpty && failures.isEmpty }
    }

    private let nft: NftProgram
    private let isDry: Bool
    private let isForced: Bool
    private var report = Report()
    /// Where records of kernel settings are.
    private var settings: String?

    /// - Parameters:
    ///   - isDry: only looks.
    ///   - isForced: also cleans namespaces in which a ztund listens, and removes pins that one holds.
    package init(nftProgram: String = "nft", isDry: Bool, isForced: Bool) {
        nft = NftProgram(name: nftProgram)
        self.isDry = isDry
        self.isForced = isForced
    }

    /// Cleans the namespaces at these paths, then the BPF folders and the run directory where they are given.
    ///
    /// - Parameter isWhole: whether these are all namespaces of the node, so that what is recorded of others is of those gone.
    package mutating func run(
        namespaces: [String], isWhole: Bool = false, bpfDirectories: [String], runDirectory: String?
    ) -> Report {
        settings = runDirectory.map { "\($0)/settings" }
        for path in namespaces { clean(path) }
        if isWhole, let settings { removeFolder(settings) }
        for folder in bpfDirectories { removePins(folder) }
        if let runDirectory {
            for name in ["ztund.sock", "ztund-handover.sock", "ztund.sock.lock"] + Self.olderSockets(runDirectory) {
                removeFile("\(runDirectory)/\(name)")
            }
        }
        return report
    }

    /// Sockets that replaced ztunds of the run directory had of their own.
    private static func olderSockets(_ runDirectory: String) -> [String] {
        guard let folder = opendir(runDirectory) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix("ztund."), name.hasSuffix(".sock"), name != "ztund.sock" { names.append(name) }
        }
        return names.sorted()
    }

    /// The process that holds a run directory's lock; nil when none does.
    package static func owner(of runDirectory: String) -> String? {
        let lock = open("\(runDirectory)/ztund.sock.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard lock >= 0 else { return nil }
        defer { close(lock) }
        guard flock(lock, LOCK_SH | LOCK_NB) != 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(lock, &buffer, buffer.count, 0)
        let digits = buffer.prefix(max(0, count)).prefix { (48...57).contains($0) }
        return digits.isEmpty ? "a process" : "process \(String(decoding: digits, as: UTF8.self))"
    }

    // MARK: - One namespace

    private mutating func clean(_ path: String) {
        let namespace: NetworkNamespace
        do throws(CaptureFailure) {
            namespace = try NetworkNamespace(path: path)
        } catch {
            // Of those found a moment ago, some have gone meanwhile.
            if access(path, F_OK) == 0 { report.failures.append("\(path): \(error)") }
            return
        }
        if !isForced, PodSockets.isServed(namespace) {
            report.left.append("\(path): a ztund listens there")
            return
        }
        let before = report.removed.count
        cleanRules(path, namespace)
        cleanRoutes(path, namespace)
        guard let settings, let record = SettingsRecord.existing(in: settings, of: namespace) else {
            if report.removed.count > before { cleanSettings(path, namespace) }
            return
        }
        report.removed += record.restore(in: namespace, isDry: isDry).map { "\(path): \($0)" }
        if !isDry { record.remove() }
    }

    private mutating func cleanRules(_ path: String, _ namespace: NetworkNamespace) {
        do throws(CaptureFailure) {
            guard try nft.has(NftRuleset.table, in: namespace) else { return }
            if !isDry { try nft.apply(NftRuleset.remove, in: namespace) }
            report.removed.append("\(path): nftables table \(NftRuleset.table)")
        } catch {
            report.failures.append("\(path): \(error)")
        }
    }

    private mutating func cleanRoutes(_ path: String, _ namespace: NetworkNamespace) {
        guard !isDry else {
            // Routes and rules cannot be asked for without a change; the rules' table tells of most.
            return
        }
        for isIPv6 in [false, true] {
            let family = isIPv6 ? "IPv6" : "IPv4"
            for priority in RouteSelection.priorities {
                var rules = 0
                while rules < 1024, act(path, namespace, { zt_remove_own_rule(isIPv6 ? 1 : 0, priority) }) {
                    rules += 1
                }
                if rules > 0 { report.removed.append("\(path): \(family) rule of preference \(priority)") }
            }
            for (mark, number) in [
                (CaptureMark.application, CaptureRoute.table), (CaptureMark.captured, CaptureRoute.capturedTable),
            ] {
                var rules = 0
                while rules < 8, act(path, namespace, { zt_fwmark_rule(0, isIPv6 ? 1 : 0, mark, number, number) }) {
                    rules += 1
                }
                if rules > 0 { report.removed.append("\(path): \(family) rule for mark 0x\(String(mark, radix: 16))") }
                var routes = 0
                while routes < 64, act(path, namespace, { zt_remove_own_route(isIPv6 ? 1 : 0, number) }) { routes += 1 }
                if routes > 0 { report.removed.append("\(path): \(family) route in table \(number)") }
            }
        }
    }

    private mutating func act(_ path: String, _ namespace: NetworkNamespace, _ call: () -> Int32) -> Bool {
        do throws(SystemError) {
            return try namespace.run { () throws(SystemError) in try SystemError.check("netlink", call()) } == 1
        } catch {
            // A family that the kernel does not have has no rules either.
            if error.name != "EAFNOSUPPORT", error.name != "EOPNOTSUPP" {
                report.failures.append("\(path): \(error)")
            }
            return false
        }
    }

    private mutating func cleanSettings(_ path: String, _ namespace: NetworkNamespace) {
        for (setting, value) in PodSetting.defaults {
            guard let found = PodSettings.read(setting.path, in: namespace), found == setting.wanted else { continue }
            if !isDry, (try? PodSettings.write(value, to: setting.path, in: namespace)) == nil {
                report.failures.append("\(path): \(setting.path) cannot be written")
                continue
            }
            report.removed.append("\(path): \(setting.path) is \(value) again")
        }
    }

    // MARK: - Files

    private mutating func removeFile(_ path: String) {
        var information = stat()
        guard lstat(path, &information) == 0 else { return }
        if !isDry, unlink(path) != 0 {
            return report.failures.append("\(path): \(String(cString: strerror(errno)))")
        }
        report.removed.append(path)
    }

    /// Every folder in which a ztund that was not told where has pinned something.
    package static var usualFolders: [String] { BPFFolder.all() }

    /// Removes what is pinned in a folder, unless a ztund lives that has it.
    private mutating func removePins(_ folder: String) {
        if isForced { return removeUnusedPins(folder) }
        var mine = self
        if BPFFolder.whileUnused(folder, { mine.removeUnusedPins(folder) }) {
            self = mine
        } else {
            report.left.append("\(folder): a ztund that runs holds it")
        }
    }

    private mutating func removeUnusedPins(_ folder: String) {
        if folder == BPFFolder.root {
            // Folders beside its own are other ztunds'.
            for name in NamespaceCensus.entries(of: folder).sorted() where BPFFolder.isLayout(name) {
                removeFolder("\(folder)/\(name)")
            }
            if !isDry { rmdir(folder) }
        } else {
            removeFolder(folder)
            if !isDry { BPFFolder.removeEmptyRoot(above: folder) }
        }
    }

    /// Pins detach what they hold when they go; folders of theirs hold nothing else.
    private mutating func removeFolder(_ path: String) {
        var information = stat()
        guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else { return }
        for name in NamespaceCensus.entries(of: path).sorted() {
            var entry = stat()
            guard lstat("\(path)/\(name)", &entry) == 0 else { continue }
            if entry.st_mode & S_IFMT == S_IFDIR {
                removeFolder("\(path)/\(name)")
            } else {
                removeFile("\(path)/\(name)")
            }
        }
        if !isDry, rmdir(path) != 0 {
            // Only where it is forced is there anybody who could.
            if isForced, errno == ENOTEMPTY { return report.left.append("\(path): a ztund that runs puts it back") }
            report.failures.append("\(path): \(String(cString: strerror(errno)))")
        }
    }
}
