internal import AdminServer
internal import Capture
internal import StatusModel

/// What two ztund tell each other while one takes over from the other (docs/upgrade.md has the order).
enum HandoverMessage: Codable, Sendable {
    /// Who speaks; the first message of both sides.
    case hello(HandoverHello)
    /// There will be no handover; why, for a person.
    case refused(String)
    /// Admin, metrics, readiness and control listeners and the lock, one descriptor each.
    case listeners([OpenListener])
    /// The connection to a ztund that was replaced before and still carries something: one descriptor.
    case predecessor
    /// An enrolled pod, with its three listening sockets.
    case pod(PodInheritance)
    /// A pod that is not enrolled yet.
    case pendingPod(PodReferenceParts)
    /// That was all.
    case complete(pods: Int)
    /// The new one accepts; it has these listeners (by their place in ``listeners(_:)``).
    case serving(listeners: [Int])
    /// The old one accepts nothing any more.
    case yielded
    /// The new one has heard it; from here on the pods are its.
    case taken
    /// The old one, now and then: what it still carries.
    case report(GenerationStatus)
    /// A connection without a tunnel, with its two sockets; behind the JSON what each has yet to be given.
    case relay(RelayInheritance)
    /// A pod left the mesh: cut what the old one carries for it.
    case podRemoved(String)

    /// The version of this list; both sides must have the same.
    static let version = 1
    /// Milliseconds that either side waits for the other.
    static let patience: Int32 = 10_000
}

/// The first message of each side.
struct HandoverHello: Codable, Sendable {
    /// ``HandoverMessage/version`` of the speaker.
    var protocolVersion = HandoverMessage.version
    var pid: Int32
    /// The program's version, for people.
    var program: String
    /// The speaker's place in the row; 0 from the one that wants to take over.
    var generation: Int
    /// How it captures.
    var capture: String
}

/// A pod's name and the path of its network namespace.
struct PodReferenceParts: Codable, Sendable {
    var namespace: String
    var name: String
    var path: String

    var location: PodLocation { PodLocation(namespace: namespace, name: name, path: path) }
}
