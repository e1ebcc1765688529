internal import ArgumentParser
internal import Capture

/// `ztund gate`.
struct GateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "The boot gate: no pod opens or receives a TCP connection before it is enrolled.",
        discussion: """
            Installed before the kubelet starts, it closes the time between a pod's start and ztund's. It stands without any
            ztund: pods wait for one. docs/gate.md says what it costs and how to get out.

            EXAMPLES:
              ztun gate install --pod-cgroup /sys/fs/cgroup/kubepods.slice
              ztun gate allow /run/netns/cni-0a1b
              ztun gate status
              ztun gate remove
            """,
        subcommands: [Install.self, Remove.self, Status.self, Allow.self])

    struct Place: ParsableArguments {
        @Option(help: ArgumentHelp("Where the gate is pinned.", valueName: "dir"))
        var gateDir = BootGate.usualFolder

        func open() throws -> BootGate {
            guard let gate = try GateCommand.told({ () throws(CaptureFailure) in try BootGate.open(gateDir) }) else {
                throw ValidationError("there is no boot gate in \(gateDir); see `ztun gate install`")
            }
            return gate
        }
    }

    struct Install: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "install", abstract: "Put the gate before all pods; doing it again keeps who may talk.")

        @OptionGroup var place: Place

        @Option(
            help: ArgumentHelp(
                "The cgroup above all pods, made when it is missing (default: kubepods where it is there, else the root).",
                valueName: "dir"))
        var podCgroup: String?

        @Option(help: ArgumentHelp("Processes of this cgroup may talk. May be repeated.", valueName: "dir"))
        var exemptCgroup: [String] = []

        @Option(help: ArgumentHelp("Pods of this network namespace may talk. May be repeated.", valueName: "path"))
        var allow: [String] = []

        @Option(
            help: ArgumentHelp(
                "Open to all after so many seconds, should no ztund ever come (default: stay closed).",
                valueName: "seconds"))
        var openAfter: UInt64 = 0

        func run() throws {
            try GateCommand.told { () throws(CaptureFailure) in
                let cgroup = try PodCgroup.made(podCgroup)
                let isNew = !BootGate.isInstalled(in: place.gateDir)
                let (gate, standing) = try BootGate.install(place.gateDir, cgroup: cgroup)
                do throws(CaptureFailure) {
                    for path in exemptCgroup { try gate.exempt(cgroup: path) }
                    for path in allow { try gate.allow(try NetworkNamespace(path: path), .byHand) }
                    try gate.open(afterSeconds: openAfter)
                } catch {
                    // Half of what was asked for could lock somebody out.
                    if isNew { _ = BootGate.remove(place.gateDir) }
                    throw error
                }
                print("the gate stands before the pods of \(cgroup)")
                if !standing.contains(.arrivals) {
                    print("NOTE: this kernel cannot look at what arrives: pods are kept from connecting only")
                }
                if openAfter > 0 { print("it opens by itself in \(openAfter) s") }
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Take the gate away: pods that are not enrolled talk in the clear.")

        @OptionGroup var place: Place

        func run() throws {
            print(BootGate.remove(place.gateDir) ? "the gate is gone" : "there was no gate")
        }
    }

    struct Status: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Say whether the gate stands, who may talk, what it refused.",
            discussion: "Exit code 1 when there is none, or it does not stand.")

        @OptionGroup var place: Place

        func run() throws {
            guard let gate = try GateCommand.told({ () throws(CaptureFailure) in try BootGate.open(place.gateDir) })
            else {
                print("there is no gate")
                throw ExitCode.failure
            }
            let (halves, cgroup) = gate.standing
            let figures = gate.figures
            print("connects    \(halves.contains(.connects) ? "refused" : "NOT LOOKED AT") until a pod is enrolled")
            print("arrivals    \(halves.contains(.arrivals) ? "dropped" : "NOT LOOKED AT") until a pod is enrolled")
            print("cgroup      \(PodCgroup.path(ofID: cgroup) ?? "GONE: install it again")")
            print("refused     \(figures.refusedConnects) connects, \(figures.droppedArrivals) arrivals")
            let opening =
                figures.opensIn == 0
                ? "only when a pod is enrolled or let through"
                : figures.opensIn == 1
                    ? "HAS OPENED: its time is over" : "to all in \(figures.opensIn / 1_000_000_000) s"
            print("opens       \(opening)")
            let entries = gate.entries
            let kinds: [(BootGate.Why, String)] = [
                (.enrolled, "enrolled"), (.node, "the node's own"), (.outside, "outside of the mesh"),
                (.byHand, "by hand"),
            ]
            let counts = kinds.map { kind, name in "\(entries.count { $0.why == kind }) \(name)" }
            print("may talk    \(counts.joined(separator: ", "))")
            for id in gate.exemptions { print("exempt      \(PodCgroup.path(ofID: id) ?? "a cgroup that is gone")") }
            if !halves.contains(.connects) || figures.opensIn == 1 { throw ExitCode.failure }
        }
    }

    struct Allow: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "allow", abstract: "Let the pods of network namespaces talk without being enrolled.")

        @OptionGroup var place: Place

        @Argument(help: ArgumentHelp("Paths of network namespaces.", valueName: "path"))
        var namespaces: [String] = []

        @Option(help: ArgumentHelp("Let the processes of this cgroup talk. May be repeated.", valueName: "dir"))
        var cgroup: [String] = []

        func validate() throws {
            if namespaces.isEmpty, cgroup.isEmpty { throw ValidationError("say whom: a network namespace or --cgroup") }
        }

        func run() throws {
            let gate = try place.open()
            try GateCommand.told { () throws(CaptureFailure) in
                for path in namespaces { try gate.allow(try NetworkNamespace(path: path), .byHand) }
                for path in cgroup { try gate.exempt(cgroup: path) }
            }
        }
    }

    /// Turns what went wrong into the command's error.
    private static func told<Result>(_ body: () throws(CaptureFailure) -> Result) throws -> Result {
        do throws(CaptureFailure) { return try body() } catch { throw GateFailure(description: error.description) }
    }
}

/// A command that did not work, as a sentence.
private struct GateFailure: Error, CustomStringConvertible {
    let description: String
}
