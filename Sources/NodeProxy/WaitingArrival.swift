internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel

/// Something that arrived at a pod before the state knew the pod, or before the pod's certificate was there.
///
/// The control plane and the first packet race when a pod starts; a refusal would punish the pod for our being late.
final class WaitingArrival: EventHandler {
    /// What arrived; the socket, where there is one, is the arrival's.
    enum Kind {
        case outbound(from: SocketAddress, to: SocketAddress)
        /// Accepted and decided by another worker; the descriptor in it is the arrival's socket.
        case handedOver(OutboundHandover)
        case plaintext(from: SocketAddress, to: SocketAddress)
        case tunnel(from: SocketAddress)
        case request(TunnelConnection, WaitingStream, HeaderBlock)
    }

    /// Seconds that an arrival waits at most.
    static let limit = Limits.standard.arrivalSeconds
    /// Arrivals that wait at one pod, on one worker, at most.
    static let countLimit = Limits.standard.arrivals

    let kind: Kind
    var socket: Descriptor?
    /// Monotonic nanoseconds.
    let since: UInt64
    // The site owns the arrival until it ends.
    private unowned let site: PodSite
    private var deadline: Deadline?

    init(_ kind: Kind, socket: consuming Descriptor?, site: PodSite) {
        self.kind = kind
        self.site = site
        self.socket = consume socket
        let loop = site.worker.loop
        since = loop.now
        super.init()
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: Self.limit), now: since)
        self.deadline = deadline
    }

    override func expired(_ kind: UInt8) {
        site.waitExpired(self)
    }
}
