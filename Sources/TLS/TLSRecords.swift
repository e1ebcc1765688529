/// Whose record layer carries a connection's bytes once its handshake is done.
package enum TLSRecords: String, Sendable, CaseIterable {
    /// Ours (``RecordLayer``): no copies, and the library's session is freed.
    case own
    /// The library's.
    case libssl
}
