internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc

/// The plugin's place on a node: its program, and its entry behind the cluster's own plugin.
struct CNIInstallation {
    let binDirectory: String
    let configurationDirectory: String

    /// The list that the runtime uses: the first by name.
    private func list() throws(Failure) -> (path: String, keys: [String: Document], plugins: [Document]) {
        guard let handle = opendir(configurationDirectory) else { throw failure(configurationDirectory) }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if [".conflist", ".conf", ".json"].contains(where: name.hasSuffix) { names.append(name) }
        }
        guard let name = names.min() else {
            throw Failure(
                code: .problem,
                message:
                    "\(configurationDirectory) has no network configuration yet: install the cluster's CNI plugin first"
            )
        }
        let path = "\(configurationDirectory)/\(name)"
        guard name.hasSuffix(".conflist") else {
            throw Failure(
                code: .problem, message: "\(path) is a single plugin, which no other can follow: make it a .conflist")
        }
        let bytes = try contents(path)
        guard case .map(let keys)? = try? JSONDecoder().decode(Document.self, from: Data(bytes)),
            case .list(let plugins)? = keys["plugins"]
        else { throw Failure(code: .problem, message: "\(path) is not a list of CNI plugins") }
        return (path, keys, plugins)
    }

    private static func isOurs(_ plugin: Document) -> Bool {
        if case .map(let keys) = plugin, case .text(CNICommand.name)? = keys["type"] { return true }
        return false
    }

    /// Copies this program and adds the entry; says what was done.
    func install(_ entry: [String: Document]) throws(Failure) -> String {
        try write(try contents("/proc/self/exe"), to: "\(binDirectory)/\(CNICommand.name)", mode: 0o755)
        let (path, keys, plugins) = try list()
        var entry = entry
        entry["type"] = .text(CNICommand.name)
        entry["capabilities"] = .map(["io.kubernetes.cri.pod-annotations": .boolean(true)])
        var changed = keys
        changed["plugins"] = .list(plugins.filter { !Self.isOurs($0) } + [.map(entry)])
        try write(Array((Document.json(Document.map(changed)) + "\n").utf8), to: path, mode: 0o644)
        return "\(CNICommand.name) is in \(binDirectory) and the last plugin of \(path)"
    }

    /// Takes entry and program out; says what was done.
    func uninstall() throws(Failure) -> String {
        var done: [String] = []
        if let (path, keys, plugins) = try? list(), plugins.contains(where: Self.isOurs) {
            var changed = keys
            changed["plugins"] = .list(plugins.filter { !Self.isOurs($0) })
            try write(Array((Document.json(Document.map(changed)) + "\n").utf8), to: path, mode: 0o644)
            done.append("\(path) is without \(CNICommand.name)")
        }
        let program = "\(binDirectory)/\(CNICommand.name)"
        if unlink(program) == 0 { done.append("\(program) is gone") }
        return done.isEmpty ? "nothing was installed" : done.joined(separator: "; ")
    }

    private func failure(_ path: String) -> Failure {
        Failure(code: .problem, message: "\(path): \(String(cString: strerror(errno)))")
    }

    private func contents(_ path: String) throws(Failure) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(file, &buffer, buffer.count)
            guard count >= 0 else { throw failure(path) }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
        }
    }

    /// Whole or not at all: the runtime may read at any moment.
    private func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(Failure) {
        let new = "\(path).ztun-new"
        unlink(new)
        let file = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure(new) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else {
                let problem = failure(new)
                close(file)
                unlink(new)
                throw problem
            }
            rest = rest.dropFirst(count)
        }
        close(file)
        guard rename(new, path) == 0 else { throw failure(path) }
    }
}

extension CNICommand {
    struct Places: ParsableArguments {
        @Option(help: ArgumentHelp("Where the runtime looks for plugins.", valueName: "dir"))
        var binDir = "/opt/cni/bin"

        @Option(help: ArgumentHelp("Where the runtime looks for network configurations.", valueName: "dir"))
        var confDir = "/etc/cni/net.d"

        var installation: CNIInstallation {
            CNIInstallation(binDirectory: binDir, configurationDirectory: confDir)
        }
    }

    struct Install: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "install", abstract: "Put the plugin behind the cluster's own on this node.",
            discussion: """
                Pods that start from then on are held until ztund has them, and fail to start where it cannot take them. Pods
                of excluded namespaces, and those with the annotation istio.io/dataplane-mode: none, are left alone. Doing it
                again replaces the entry.
                """)

        @OptionGroup var places: Places

        @Option(help: ArgumentHelp("ztund's run directory, as the runtime sees it.", valueName: "dir"))
        var runDir = "/run/ztun"

        @Option(help: ArgumentHelp("Enrol pods of these namespaces only. May be repeated.", valueName: "name"))
        var namespace: [String] = []

        @Option(
            help: ArgumentHelp(
                "Leave these namespaces alone (default kube-system, ztun-system, istio-system). May be repeated.",
                valueName: "name"))
        var excludeNamespace: [String] = []

        func run() throws {
            var entry: [String: Document] = ["runDir": .text(runDir)]
            if !namespace.isEmpty { entry["namespaces"] = .list(namespace.map { .text($0) }) }
            let excluded = excludeNamespace.isEmpty ? CNIConfiguration.usualExemptions : excludeNamespace
            entry["excludeNamespaces"] = .list(excluded.map { .text($0) })
            print(try places.installation.install(entry))
        }
    }

    struct Uninstall: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "uninstall", abstract: "Take the plugin out of this node again.")

        @OptionGroup var places: Places

        func run() throws {
            print(try places.installation.uninstall())
        }
    }
}
