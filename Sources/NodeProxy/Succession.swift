internal import AdminServer
internal import Capture
internal import ControlPlane
internal import EventLoop
internal import Glibc
internal import StatusModel
internal import Telemetry

/// The taking over of a running ztund's pods: what came from the one before, on the side of the new one.
///
/// Nothing of the old one's changes before ``commit(listeners:)``: when the new one fails or dies, the old one goes on.
final class Succession {
    /// Why nothing is taken over; the old one serves on.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let channel: HandoverChannel
    /// The process that is replaced.
    let pid: Int32
    /// Its place in the row.
    let generation: Int
    private(set) var pods: [(pod: PodInheritance, listeners: DescriptorBundle)] = []
    /// Pods that the old one knows and has not enrolled.
    private(set) var pending: [PodLocation] = []
    private(set) var listeners: [InheritedListener] = []
    /// Connections to those that were replaced before.
    private(set) var links: [HandoverChannel] = []
    /// Whether the old one ended while it handed over: what came is all there is.
    private(set) var isOrphaned = false

    private init(_ channel: HandoverChannel, _ hello: HandoverHello) {
        self.channel = channel
        pid = hello.pid
        generation = hello.generation
    }

    /// Where a ztund of this run directory takes successors.
    static func path(in runDirectory: String) -> String { "\(runDirectory)/ztund-handover.sock" }

    /// Asks the ztund at the path for all it has; nil when none is there.
    static func begin(_ path: String, capture: String) throws(Failure) -> Succession? {
        guard let connected = try? DescriptorChannel.connect(path, limit: HandoverMessage.patience) else { return nil }
        guard let peer = connected.peer, peer.uid == 0 || peer.uid == geteuid() else {
            throw Failure(description: "what answers at \(path) is not root's; remove it")
        }
        let channel = HandoverChannel(channel: connected)
        do throws(HandoverChannel.Fault) {
            try channel.send(
                .hello(
                    HandoverHello(pid: getpid(), program: ProductVersion.text, generation: 0, capture: capture)))
            switch try channel.receive().message {
            case .hello(let hello):
                let succession = Succession(channel, hello)
                try succession.receiveAll()
                return succession
            case .refused(let reason): throw .refused(reason)
            default: throw .unreadable
            }
        } catch {
            if error.isEnd { return nil }
            throw Failure(
                description: "the ztund at \(path) (process \(peer.pid)) hands nothing over, it serves on: \(error)")
        }
    }

    private func receiveAll() throws(HandoverChannel.Fault) {
        do throws(HandoverChannel.Fault) {
            while true {
                let received = try channel.receive()
                switch received.message {
                case .listeners(let list) where list.count == received.descriptors.count:
                    listeners = zip(list, received.descriptors).map { InheritedListener($0, $1) }
                case .predecessor:
                    guard let link = received.descriptors.first?.take() else { throw .unreadable }
                    links.append(
                        HandoverChannel(channel: DescriptorChannel(link, limit: HandoverMessage.patience)))
                case .pod(let pod):
                    pods.append((pod, DescriptorBundle(received.descriptors)))
                case .pendingPod(let pod): pending.append(pod.location)
                case .complete: return
                case .refused(let reason): throw .refused(reason)
                default: throw .unreadable
                }
            }
        } catch {
            guard error.isEnd else { throw error }
            isOrphaned = true
        }
    }

    /// Tells the old one that the new one accepts; when this returns, the pods are the new one's alone.
    ///
    /// - Throws: when the old one does not let go; it serves on.
    func commit() throws(Failure) {
        guard !isOrphaned else { return }
        do throws(HandoverChannel.Fault) {
            try channel.send(.serving(listeners: listeners.indices.filter { listeners[$0].isTaken }))
            guard case .yielded = try channel.receive().message else { throw .unreadable }
            try channel.send(.taken)
            links.append(channel)
        } catch {
            guard error.isEnd else {
                throw Failure(description: "process \(pid) does not let go of its pods, it serves on: \(error)")
            }
            isOrphaned = true
        }
    }
}
