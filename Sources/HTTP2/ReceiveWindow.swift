/// What a peer may still send, of one stream or of the connection (RFC 9113 6.9): bytes, padding included.
struct ReceiveWindow: Sendable {
    /// What it may have on its way and unread together; below 0 after the initial window was lowered.
    private(set) var size: Int
    /// What it may send without hearing more from us.
    private var credit: Int
    /// What it has sent and nobody has read yet.
    private var held = 0

    init(size: Int) {
        self.size = size
        credit = size
    }

    /// Takes note of what the peer sends; false when that is more than it was allowed.
    mutating func take(_ count: Int) -> Bool {
        guard count <= credit || count == 0 else { return false }
        credit -= count
        held += count
        return true
    }

    /// So many bytes have been read, or dropped. More than came are as many as came.
    mutating func release(_ count: Int) {
        held -= min(max(count, 0), held)
    }

    /// What to announce now, 0 for nothing yet: half a window at least, so that small reads do not cost a frame each.
    var due: Int {
        let missing = size - held - credit
        return missing > 0 && missing >= size / 2 ? missing : 0
    }

    /// What to announce when a larger window is to be known at once.
    var missing: Int { max(0, size - held - credit) }

    /// The peer has been told of so many bytes more.
    mutating func announced(_ count: Int) { credit += count }

    /// Another size; what was granted already is not taken back, so a smaller one comes into force as the peer sends.
    mutating func resize(_ size: Int) { self.size = size }

    /// The initial window changed: size and credit change with it (RFC 9113 6.9.2).
    mutating func shift(_ change: Int) {
        size += change
        credit += change
    }
}
