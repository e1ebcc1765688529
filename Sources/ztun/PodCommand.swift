internal import ArgumentParser
internal import FoundationEssentials
internal import StatusModel

struct PodCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pod", abstract: "Take a pod into the mesh, or out of it, while ztund runs.",
        discussion: """
            The state must have a workload of that namespace and name; until it has, the pod's traffic waits a few seconds
            and is refused then.

            EXAMPLES:
              ztun pod add app/web@/run/netns/web
              ztun pod remove app/web
              ztun pod show app/web
            """,
        subcommands: [Add.self, Remove.self, PodShowCommand.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Take the pod in that a network namespace belongs to.")

        @OptionGroup var options: Options

        @Argument(help: "NS/NAME@NETNS, for example app/web@/run/netns/web.", transform: Self.read)
        var pod: PodRequest

        @Flag(
            inversion: .prefixedNo,
            help: ArgumentHelp(
                "Let its connections go past the mesh while no ztund is there, instead of refusing them; not while an "
                    + "enforced policy selects the pod, and not with nft."))
        var failOpen: Bool?

        static func read(_ text: String) throws -> PodRequest {
            guard let pod = PodRequest(text), pod.netns != nil else {
                throw ValidationError("a pod to add is NS/NAME@NETNS, for example app/web@/run/netns/web")
            }
            return pod
        }

        func run() throws {
            var pod = pod
            pod.failOpen = failOpen
            try PodCommand.send("POST", pod, options)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Take a pod out: its capture is removed, its connections end.")

        @OptionGroup var options: Options

        @Argument(help: "NS/NAME, for example app/web.", transform: Self.read)
        var pod: PodRequest

        static func read(_ text: String) throws -> PodRequest {
            guard let pod = PodRequest(text), pod.netns == nil else {
                throw ValidationError("a pod to remove is NS/NAME, for example app/web")
            }
            return pod
        }

        func run() throws {
            try PodCommand.send("DELETE", pod, options)
        }
    }

    private static func send(_ method: String, _ pod: PodRequest, _ options: Options) throws {
        let body = Array(try JSONEncoder().encode(pod))
        let program = options.program ?? .ztund
        for exchange in Programs.ask([program], options, method: method, target: "/pods", body: body) {
            switch exchange.outcome {
            case .failed(let failure): throw failure
            case .answered(let status, let body):
                let reply = try? JSONDecoder().decode(CommandReply.self, from: Data(body))
                let message = Table.printable(
                    reply?.message ?? "\(status): \(String(decoding: body.prefix(300), as: UTF8.self))")
                guard status == 200, reply?.ok == true else { throw Failure(code: .problem, message: message) }
                print(message)
            case nil: break
            }
        }
    }
}
