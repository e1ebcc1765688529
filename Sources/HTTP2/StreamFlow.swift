/// What the engine itself keeps of a stream that has an owner: both windows, and how far either direction is.
struct StreamFlow {
    let id: Int32
    /// The owner's pointer, for the delegate.
    let context: UnsafeMutableRawPointer
    /// What we may still send, bytes; below 0 after the peer lowered the initial window.
    var sendWindow: Int
    /// Of use for the streams whose DATA the engine takes itself.
    var receiveWindow: ReceiveWindow
    /// A CONNECT stream that stands: its DATA does not pass through the library.
    var isTunnel = false
    /// Our HEADERS are written, DATA may follow.
    var hasSentHeaders = false
    /// It stands in the queue of those to be asked.
    var isQueued = false
    /// It would be asked, had it a window.
    var isBlocked = false
    /// It stands in the list of those with credit to announce.
    var owesCredit = false
    /// We have said END_STREAM.
    var hasEnded = false
    /// The peer has said END_STREAM.
    var peerHasEnded = false
    /// RST_STREAM waits to be sent: what still comes is the library's to drop.
    var isReset = false
}
