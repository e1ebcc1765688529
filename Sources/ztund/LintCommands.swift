internal import ArgumentParser
internal import ControlPlane
internal import Glibc

/// `ztund lint`.
struct LintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Check Kubernetes manifests: what is wrong, and what means less than it says.",
        discussion: """
            Nothing is applied and no ztund needs to run. `ztun lint` is the same.

            Exit codes: 0 nothing to say, 1 something was found, 2 usage.
            """)

    @Argument(help: "Files and folders of manifests.")
    var paths: [String]

    func run() throws {
        let lint = ManifestLint(paths: paths)
        for diagnostic in lint.diagnostics { print(diagnostic) }
        let errors = lint.diagnostics.filter { $0.severity == .error }.count
        print("\(lint.objectCount) objects, \(errors) errors, \(lint.diagnostics.count - errors) warnings")
        if !lint.diagnostics.isEmpty { throw ExitCode(1) }
    }
}

/// `ztund netpol`.
struct NetworkPolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "netpol", abstract: "Look after NetworkPolicies that stand beside a mesh.",
        subcommands: [Lint.self])

    struct Lint: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lint", abstract: "Find policies that would cut the tunnels of a mesh (port 15008).",
            discussion: """
                Give the pods, namespaces and waypoints too, so that only pods of the mesh count and waypoints are known.
                With --fix, 15008 is added to each rule that lists ports, beside that rule's own peers, and a rule for
                the waypoint in front of the selected pods; comments and order stay. Policies that would cut probes as
                istio-cni sends them (from 169.254.7.127) are told as notes; only --fix-probes adds rules for them.

                Exit codes: 0 nothing was found or all is fixed, 1 something was found, 2 usage.
                """)

        @Argument(help: "Files and folders of manifests.")
        var paths: [String]

        @Flag(help: "Write what is missing into the files.")
        var fix = false

        @Flag(help: "The same, and rules for probes as istio-cni sends them.")
        var fixProbes = false

        func run() throws {
            let lint = ManifestLint(paths: paths)
            let found = NetworkPolicyLint(lint)
            for finding in found.findings { print("\(finding.place): \(finding.policy): \(finding.text)") }
            for probe in found.probes { print("note: \(probe.place): \(probe.policy): \(probe.text)") }
            for note in found.notes { print("note: \(note)") }
            for diagnostic in lint.diagnostics where diagnostic.severity == .error { print(diagnostic) }
            guard fix || fixProbes else {
                if !found.findings.isEmpty { throw ExitCode(1) }
                return
            }
            for (path, bytes) in found.fixed(probes: fixProbes) {
                try TextReplacement.write(bytes, to: path)
                print("\(path): written")
            }
            let again = NetworkPolicyLint(ManifestLint(paths: paths))
            let left = again.findings + (fixProbes ? again.probes : [])
            for finding in left {
                print("\(finding.place): not fixed, do it by hand: \(finding.policy): \(finding.text)")
            }
            if !left.isEmpty { throw ExitCode(1) }
        }
    }
}

/// A file whose text is replaced in one step.
enum TextReplacement {
    static func write(_ bytes: [UInt8], to path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure(path) }
        let temporary = "\(path).ztun-new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status.st_mode & 0o7777)
        guard file >= 0 else { throw failure(temporary) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else {
                close(file)
                unlink(temporary)
                throw failure(temporary)
            }
            rest = rest.dropFirst(count)
        }
        close(file)
        guard rename(temporary, path) == 0 else {
            unlink(temporary)
            throw failure(path)
        }
    }

    private static func failure(_ path: String) -> ValidationError {
        ValidationError("\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
}
