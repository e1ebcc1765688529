/// One object that an ``EventLoop`` calls: base class of connections, relays and listeners.
///
/// A class to inherit from and not a protocol, because one virtual call per event is all the indirection the hot path
/// pays. Every method is called on the loop's thread. The loop keeps a registered handler alive until it is removed,
/// and a removed one until the end of the batch of events, so a late event never meets a freed object.
open class EventHandler {
    var isMarked = false
    var isRegistered = false

    /// Makes a handler that is registered nowhere.
    public init() {}

    /// The descriptor became ready; edge-triggered unless it was added as a listener.
    open func ready(_ readiness: Readiness) {}

    /// Called once after a batch of events in which the handler was marked.
    open func flush() {}

    /// A ``Deadline`` of this handler has passed; `kind` is the owner's own number for it.
    open func expired(_ kind: UInt8) {}
}
