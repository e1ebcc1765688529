/// One way of bringing a pod's traffic to ztund's sockets; one object per pod, used by the control thread alone.
///
/// Another ``CaptureMode`` is another type here. Each step is atomic or cleans up after itself when it throws.
protocol Redirection: AnyObject {
    /// Prepares what redirected connections need (routes, settings), while nothing is redirected yet.
    func prepare() throws(CaptureFailure)
    /// Takes back what ``prepare()`` did; harmless when there is nothing to take back.
    func unprepare() throws(CaptureFailure)
    /// Begins to redirect, all at once.
    func install() throws(CaptureFailure)
    /// Stops redirecting, all at once; harmless when nothing is redirected.
    func uninstall() throws(CaptureFailure)
    /// Looks whether all is as installed, and puts back what is not.
    ///
    /// - Returns: what was put back, in words; empty when nothing was missing.
    func repair() throws(CaptureFailure) -> [String]
    /// Whether another ztund serves the pod too: the one that takes over from us.
    var isTakenOver: Bool { get }
    /// Another ztund has taken over: what is installed is its, also when this process ends.
    func leave()
    /// Goes on in a kindred mode, without a moment in which connections are not captured.
    func change(to mode: CaptureMode) throws(CaptureFailure)
    /// Writes down what the next ztund's object for this pod must know.
    func hand(to pod: inout PodInheritance)
    /// Takes over what the object of the ztund before this one had installed; ``repair()`` follows.
    func adopt(_ pod: PodInheritance)
    /// Has the pod's connections go past the mesh, or refused, while no ztund is there.
    ///
    /// - Returns: why this way of capture cannot do it, for a person; nil when it did.
    func setFailOpen(_ isOpen: Bool) throws(CaptureFailure) -> String?
    /// How capture is tested with connections of ztund's own; nil where it is not.
    var canaryMark: CanaryMark? { get }
}

extension Redirection {
    func hand(to pod: inout PodInheritance) {}
    func adopt(_ pod: PodInheritance) {}
    func leave() {}
    var canaryMark: CanaryMark? { nil }
    func setFailOpen(_ isOpen: Bool) throws(CaptureFailure) -> String? {
        isOpen ? "this pod's way of capture is closed without ztund; failing open takes bpf" : nil
    }
    func change(to mode: CaptureMode) throws(CaptureFailure) {}
}

/// The mode ``CaptureMode/external``: the rules are someone else's.
final class ExternalRedirection: Redirection {
    private let sockets: PodSockets

    init(_ sockets: PodSockets) {
        self.sockets = sockets
    }

    var isTakenOver: Bool { sockets.isShared }
    /// Such rules take connections without a mark for the pod's.
    var canaryMark: CanaryMark? { CanaryMark(outbound: 0) }
    func prepare() throws(CaptureFailure) {}
    func unprepare() throws(CaptureFailure) {}
    func install() throws(CaptureFailure) {}
    func uninstall() throws(CaptureFailure) {}
    func repair() throws(CaptureFailure) -> [String] { [] }
}
