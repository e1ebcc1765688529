internal import FoundationEssentials
internal import Glibc
internal import StatusModel

/// One call of the CNI plugin: what the environment and standard input ask, carried out at ztund.
struct CNIPlugin {
    private let environment: [String: String]
    private let input: [UInt8]
    /// The version that an answer is written in, as soon as it is known.
    private(set) var version = "1.0.0"

    init(environment: [String: String], input: [UInt8]) {
        self.environment = environment
        self.input = input
    }

    /// What to print; nil for nothing.
    mutating func run() throws(CNIFailure) -> Document? {
        guard let command = environment["CNI_COMMAND"], !command.isEmpty else {
            throw CNIFailure(
                code: .invalidEnvironment,
                message: "CNI_COMMAND is missing: a container runtime calls this, not a person")
        }
        if command == "VERSION" {
            if case .map(let keys)? = try? JSONDecoder().decode(Document.self, from: Data(input)),
                case .text(let asked)? = keys["cniVersion"]
            {
                version = asked
            }
            return .map([
                "cniVersion": .text(version), "supportedVersions": .list(CNIConfiguration.versions.map { .text($0) }),
            ])
        }
        let configuration = try CNIConfiguration(input)
        version = configuration.version
        switch command {
        case "ADD": return try add(configuration)
        case "DEL": try delete(configuration)
        case "CHECK": try check(configuration)
        case "STATUS": try status(configuration)
        case "GC": break
        default: throw CNIFailure(code: .invalidEnvironment, message: "CNI_COMMAND \(command) is not known here")
        }
        return nil
    }

    // MARK: - The commands

    /// Holds the pod until ztund has it; its answer is that of the plugins before it.
    private func add(_ configuration: CNIConfiguration) throws(CNIFailure) -> Document {
        guard let result = configuration.previousResult else {
            throw CNIFailure(
                code: .invalidConfiguration, message: "prevResult is missing",
                details: "this plugin makes no network: put it behind one in the list of plugins")
        }
        guard let pod = try CNIPod(environment, needsNamespace: true), configuration.exemption(of: pod) == nil else {
            try letThroughGate(configuration)
            return result
        }
        var request = pod.request
        request.failOpen = configuration.failOpen ? true : nil
        request.reroutedInterfaces = configuration.reroutedInterfaces
        let end = Self.now() + configuration.timeout * 1000
        var wasMoved = false
        var failure = CNIFailure(code: .tryAgainLater, message: "ztund was not asked")
        repeat {
            switch ask("POST", request, configuration) {
            case .failure(let unanswered): failure = unanswered
            case .success(let reply) where reply.ok: return result
            case .success(let reply):
                // What ztund knows elsewhere is an earlier sandbox, whose end it was not told of.
                let isStale = reply.outcome == .elsewhere && !wasMoved
                if isStale {
                    wasMoved = true
                    _ = ask("DELETE", PodRequest(namespace: pod.namespace, name: pod.name), configuration)
                }
                let mayChange = isStale || reply.outcome == .pending || reply.outcome == .replaced
                failure = CNIFailure(
                    code: mayChange ? .tryAgainLater : .notEnrolled,
                    message: "pod \(pod.description) is not in the mesh", details: reply.message)
            }
            usleep(100_000)
        } while Self.now() < end && failure.code == .tryAgainLater
        // The runtime takes the sandbox down again: ztund is not to go on trying.
        _ = ask("DELETE", pod.request, configuration)
        throw failure
    }

    /// Tells the boot gate, where one stands, of a pod that is left alone: nobody enrols it, and the mesh itself may wait for it.
    private func letThroughGate(_ configuration: CNIConfiguration) throws(CNIFailure) {
        let folder = configuration.gateDirectory
        guard let namespace = environment["CNI_NETNS"], namespace.hasPrefix("/"), access(folder, F_OK) == 0 else {
            return
        }
        if let problem = NodeProgram.call(["gate", "allow", "--gate-dir", folder, namespace]) {
            throw CNIFailure(
                code: .tryAgainLater, message: "the boot gate stands and cannot be told of the pod", details: problem)
        }
    }

    /// Never fails: ztund notices the end of a network namespace by itself.
    private func delete(_ configuration: CNIConfiguration) throws(CNIFailure) {
        guard let pod = try? CNIPod(environment, needsNamespace: false), pod.netns != nil else { return }
        _ = ask("DELETE", pod.request, configuration)
    }

    private func check(_ configuration: CNIConfiguration) throws(CNIFailure) {
        guard configuration.previousResult != nil else {
            throw CNIFailure(code: .invalidConfiguration, message: "prevResult is missing")
        }
        guard let pod = try CNIPod(environment, needsNamespace: true), configuration.exemption(of: pod) == nil else {
            return
        }
        let report = try report(configuration, .tryAgainLater)
        let known = report.pods.first { $0.namespace == pod.namespace && $0.name == pod.name }
        guard let known, known.netns == pod.netns else {
            throw CNIFailure(code: .notEnrolled, message: "ztund does not have pod \(pod.description) of this sandbox")
        }
        guard known.state.isCaptured else {
            throw CNIFailure(
                code: .notEnrolled, message: "pod \(pod.description) is \(known.state.rawValue)", details: known.reason)
        }
    }

    private func status(_ configuration: CNIConfiguration) throws(CNIFailure) {
        _ = try report(configuration, .notAvailable)
    }

    // MARK: - ztund

    private func ask(
        _ method: String, _ pod: PodRequest, _ configuration: CNIConfiguration
    ) -> Result<CommandReply, CNIFailure> {
        guard let body = try? JSONEncoder().encode(pod) else {
            return .failure(CNIFailure(code: .undecodable, message: "the request cannot be written"))
        }
        var exchanges = [
            Exchange(
                .ztund, directory: configuration.runDirectory, method: method, target: "/pods", body: Array(body))
        ]
        Exchange.run(&exchanges)
        switch exchanges[0].outcome {
        case .answered(_, let body):
            guard let reply = try? JSONDecoder().decode(CommandReply.self, from: Data(body)) else {
                return .failure(CNIFailure(code: .undecodable, message: "ztund's answer is not understood"))
            }
            return .success(reply)
        case .failed(let failure):
            return .failure(CNIFailure(code: .tryAgainLater, message: "ztund is not there", details: failure.message))
        case nil:
            return .failure(CNIFailure(code: .tryAgainLater, message: "ztund does not answer"))
        }
    }

    private func report(_ configuration: CNIConfiguration, _ code: CNIFailure.Code) throws(CNIFailure) -> StatusReport {
        var exchanges = [
            Exchange(.ztund, directory: configuration.runDirectory, method: "GET", target: "/status")
        ]
        Exchange.run(&exchanges)
        if case .answered(_, let body)? = exchanges[0].outcome,
            let report = try? JSONDecoder().decode(StatusReport.self, from: Data(body))
        {
            return report
        }
        if case .failed(let failure)? = exchanges[0].outcome {
            throw CNIFailure(code: code, message: "ztund is not there", details: failure.message)
        }
        throw CNIFailure(code: code, message: "ztund's answer is not understood")
    }

    /// Monotonic milliseconds.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
