internal import COpenSSL
internal import MeshModel

/// The record layer of an established TLS 1.3 connection (RFC 8446 5), over the ciphers of the library.
///
/// Plaintext is sealed from the caller's buffer straight into the channel's output, and records are opened from the channel's
/// input straight into the caller's buffer; only a record that a read has cut is kept. Takes over from the library's
/// session, which is freed then. Used on one thread, by ``TLSSession``.
package final class RecordLayer {
    private var sealing: RecordProtection
    private var opening: RecordProtection
    private let channel: TLSChannel
    private var late = LateMessages()
    private var emptyRecords = 0
    private var userCancels = 0
    private var hasClosed = false
    private var hasEnded = false
    /// Why it failed; nothing is read or written any more.
    package private(set) var failure: TLSFailure?
    // A record that a read has cut; memory only while there is one.
    private var partial: UnsafeMutablePointer<UInt8>?
    private var partialCount = 0
    /// Records after which our keys are changed: AES-GCM is good for 2^24.5 (RFC 8446 5.5).
    private let updateAfter: UInt64

    /// Records without content in a row that are taken; the library has the same limit.
    private static let mostEmptyRecords = 32
    /// Key updates and tickets in the life of a connection: no honest peer sends a thousand.
    private static let mostLateMessages = Limits.standard.keyUpdates
    private static let wholeRecord = RecordProtection.headerLength + RecordProtection.largestRecord

    private enum Content {
        static let alert: UInt8 = 21
        static let handshake: UInt8 = 22
        static let application: UInt8 = 23
    }

    /// - Returns: nil when the library fails.
    package init?(
        _ suite: RecordSuite, sealing: TrafficSecret, opening: TrafficSecret, channel: TLSChannel,
        updateAfter: UInt64 = 1 << 23
    ) {
        guard let seal = RecordProtection(suite, secret: sealing, seals: true),
            let open = RecordProtection(suite, secret: opening, seals: false)
        else { return nil }
        self.sealing = seal
        self.opening = open
        self.channel = channel
        self.updateAfter = updateAfter
    }

    deinit {
        partial?.deallocate()
    }

    // MARK: - Writing

    /// Seals at most ``TLSChannel/unit`` bytes into the channel's output; false after a failure.
    package func write(_ bytes: UnsafeRawPointer, count: Int) -> Bool {
        guard failure == nil, !hasClosed else { return false }
        var at = 0
        while at < count {
            if sealing.sequence >= updateAfter, !updateKeys() { return false }
            let step = min(count - at, RecordProtection.largestContent)
            guard put(Content.application, bytes + at, step) else { return false }
            at += step
        }
        return true
    }

    /// Appends close_notify to the output.
    func close() {
        guard failure == nil, !hasClosed else { return }
        alert(.closeNotify)
        hasClosed = true
    }

    /// Tells the peer of new keys and takes them; false after a failure.
    func updateKeys() -> Bool {
        let message: [UInt8] = [24, 0, 0, 1, 0]
        guard message.withUnsafeBytes({ put(Content.handshake, $0.baseAddress, $0.count) }) else { return false }
        guard sealing.update() else { return broke(.internalError, "the library gives no new keys") }
        return true
    }

    private func put(_ type: UInt8, _ bytes: UnsafeRawPointer?, _ count: Int) -> Bool {
        let length = RecordProtection.headerLength + count + RecordProtection.overhead
        let isSealed = channel.append(length) { sealing.seal(type, bytes, count: count, into: $0) }
        // Not broke(): there is no room for an alert, or no cipher to send it with.
        if !isSealed, failure == nil { failure = TLSFailure(.tlsFailed, "a TLS record could not be sealed") }
        return isSealed
    }

    private func alert(_ alert: TLSAlert) {
        let message: [UInt8] = [alert == .closeNotify || alert == .userCanceled ? 1 : 2, alert.rawValue]
        _ = message.withUnsafeBytes { put(Content.alert, $0.baseAddress, $0.count) }
    }

    /// Ends the session and tells the peer why; always false.
    @discardableResult
    private func broke(_ code: TLSAlert, _ what: String) -> Bool {
        guard failure == nil else { return false }
        if !hasClosed { alert(code) }
        failure = TLSFailure(.tlsFailed, "TLS record: \(what)")
        return false
    }

    // MARK: - Reading

    /// As ``TLSSession/read(into:capacity:)``; the buffer must have room for a whole record.
    package func read(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Int {
        let out = buffer.assumingMemoryBound(to: UInt8.self)
        while failure == nil, !hasEnded {
            guard let record = nextRecord() else { break }
            let count = open(record, into: out, capacity)
            if partialCount > 0 { dropPartial() }
            if count > 0 { return count }
        }
        if failure != nil { return -2 }
        return hasEnded ? -1 : 0
    }

    /// The next whole record, header first, in the input or in what was kept; nil when more input is needed or it is none.
    private func nextRecord() -> UnsafePointer<UInt8>? {
        let header = RecordProtection.headerLength
        if partialCount == 0 {
            guard let input = channel.input, channel.inputCount > 0 else { return nil }
            guard channel.inputCount >= header else { return keep(channel.inputCount) }
            guard let length = length(input) else { return nil }
            guard channel.inputCount >= header + length else { return keep(channel.inputCount) }
            channel.dropInput(header + length)
            return input
        }
        guard let partial else { return nil }
        if partialCount < header {
            keep(min(header - partialCount, channel.inputCount))
            guard partialCount == header else { return nil }
        }
        guard let length = length(UnsafePointer(partial)) else { return nil }
        keep(min(header + length - partialCount, channel.inputCount))
        return partialCount == header + length ? UnsafePointer(partial) : nil
    }

    /// What the header says is behind it; nil when that cannot be.
    private func length(_ header: UnsafePointer<UInt8>) -> Int? {
        let length = Int(header[3]) << 8 | Int(header[4])
        guard header[0] == Content.application else {
            broke(.unexpectedMessage, "a record of type \(header[0]) outside of a handshake")
            return nil
        }
        guard length <= RecordProtection.largestRecord else {
            broke(.recordOverflow, "a record of \(length) bytes")
            return nil
        }
        guard length >= RecordProtection.overhead else {
            broke(.badRecordMac, "a record too short for its tag")
            return nil
        }
        return length
    }

    @discardableResult
    private func keep(_ count: Int) -> UnsafePointer<UInt8>? {
        guard count > 0, let input = channel.input else { return nil }
        let target = partial ?? .allocate(capacity: Self.wholeRecord)
        partial = target
        (target + partialCount).update(from: input, count: count)
        partialCount += count
        channel.dropInput(count)
        return nil
    }

    private func dropPartial() {
        partial?.deallocate()
        partial = nil
        partialCount = 0
    }

    /// Decrypts a record: the bytes of the application in it; 0 when it had none, or failed.
    private func open(_ record: UnsafePointer<UInt8>, into out: UnsafeMutablePointer<UInt8>, _ capacity: Int) -> Int {
        let length = Int(record[3]) << 8 | Int(record[4])
        guard length - Int(ZT_TAG) <= capacity else {
            broke(.internalError, "no room for a record of \(length) bytes")
            return 0
        }
        guard opening.open(record, count: length, into: out) else {
            ERR_clear_error()
            broke(.badRecordMac, "bad_record_mac, a record was changed on its way")
            return 0
        }
        var count = length - Int(ZT_TAG)
        guard count <= RecordProtection.largestContent + 1 else {
            broke(.recordOverflow, "\(count - 1) bytes in one record")
            return 0
        }
        while count > 0, out[count - 1] == 0 { count -= 1 }
        guard count > 0 else {
            broke(.unexpectedMessage, "a record without a type")
            return 0
        }
        count -= 1
        return take(out[count], out, count)
    }

    private func take(_ type: UInt8, _ content: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        guard type == Content.handshake || late.isBetween else {
            broke(.unexpectedMessage, "a record of type \(type) within a handshake message")
            return 0
        }
        switch type {
        case Content.application:
            emptyRecords = count == 0 ? emptyRecords + 1 : 0
            if emptyRecords > Self.mostEmptyRecords { broke(.unexpectedMessage, "one empty record after the other") }
            return count
        case Content.alert:
            takeAlert(content, count)
        case Content.handshake:
            takeHandshake(UnsafeBufferPointer(start: content, count: count))
        default:
            broke(.unexpectedMessage, "a record of type \(type)")
        }
        return 0
    }

    private func takeAlert(_ content: UnsafeMutablePointer<UInt8>, _ count: Int) {
        guard count == 2 else { return _ = broke(.decodeError, "an alert of \(count) bytes") }
        let alert = TLSAlert(rawValue: content[1])
        switch alert {
        case .closeNotify:
            hasEnded = true
        case .userCanceled:
            // Its level says nothing, and close_notify is to follow.
            userCancels += 1
            if userCancels > Self.mostEmptyRecords { broke(.unexpectedMessage, "one alert after the other") }
        default:
            // Every other alert is the end, and is not answered.
            failure = TLSFailure(.tlsFailed, "TLS record: the peer's alert \(alert)")
        }
    }

    private func takeHandshake(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard !bytes.isEmpty else { return _ = broke(.unexpectedMessage, "an empty handshake record") }
        let event = late.take(bytes)
        guard late.count <= Self.mostLateMessages else {
            broke(.unexpectedMessage, "")
            failure = TLSFailure(.peerMisbehaved, "the peer sends one TLS key update after the other")
            return
        }
        switch event {
        case .none:
            break
        case .broken(let alert):
            broke(alert, "a handshake message after the handshake: \(alert)")
        case .keyUpdate(let isRequest):
            guard opening.update() else { return _ = broke(.internalError, "the library gives no new keys") }
            if isRequest, !hasClosed { _ = updateKeys() }
        }
    }
}
