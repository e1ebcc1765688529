@testable import HTTP2

/// Records what an engine tells, and plays the owner of its streams.
final class RecordingDelegate: HTTP2Delegate {
    enum Event: Equatable {
        case request(Int32, authority: String), response(status: Int), data([UInt8]), end, closed(UInt32)
        case goAway(last: Int32, code: UInt32), pong
    }

    /// What a stream has to send; the pointer's meaning to the engine.
    final class Source {
        var bytes: [UInt8] = []
        var ends = false
        var breaks = false
        var consumesAtOnce = true
        var id: Int32 = 0
    }

    unowned(unsafe) var engine: HTTP2Engine?
    var events: [Event] = []
    var sources: [Int32: Source] = [:]
    var respondsAtOnce = true
    var largestPull = 0

    private func source(_ context: UnsafeMutableRawPointer) -> Source {
        Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
    }

    // Streams point to their sources without owning them.
    private var kept: [Source] = []

    func makeSource() -> (Source, UnsafeMutableRawPointer) {
        let source = Source()
        kept.append(source)
        return (source, Unmanaged.passUnretained(source).toOpaque())
    }

    func http2Request(_ stream: Int32, head: HeaderBlock, endStream: Bool) {
        events.append(.request(stream, authority: head.text(":authority") ?? ""))
        let (source, context) = makeSource()
        source.id = stream
        sources[stream] = source
        engine?.setContext(context, of: stream)
        guard respondsAtOnce else { return }
        var answer = HeaderBlock()
        answer.append(":status", "200")
        engine?.respond(stream, answer, end: false)
    }

    func http2Response(_ context: UnsafeMutableRawPointer, head: HeaderBlock) {
        events.append(.response(status: head.status ?? 0))
    }

    func http2Data(_ context: UnsafeMutableRawPointer, bytes: UnsafeRawPointer, count: Int) {
        events.append(.data(Array(UnsafeRawBufferPointer(start: bytes, count: count))))
        let source = source(context)
        if source.consumesAtOnce { engine?.consumed(source.id, count: count) }
    }

    func http2End(_ context: UnsafeMutableRawPointer) { events.append(.end) }

    func http2Closed(_ context: UnsafeMutableRawPointer, code: UInt32) { events.append(.closed(code)) }

    func http2Pull(_ context: UnsafeMutableRawPointer, into: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        largestPull = max(largestPull, capacity)
        let source = source(context)
        if source.breaks { return .broken }
        if source.bytes.isEmpty { return source.ends ? .end : .later }
        let count = min(capacity, source.bytes.count)
        source.bytes.withUnsafeBytes { into.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count) }
        source.bytes.removeFirst(count)
        return .bytes(count)
    }

    func http2GoAway(lastStream: Int32, code: UInt32) { events.append(.goAway(last: lastStream, code: code)) }
    func http2Pong() { events.append(.pong) }
    func http2SettingsChanged() {}

    /// All data received so far, joined.
    var received: [UInt8] {
        events.flatMap { event -> [UInt8] in
            if case .data(let bytes) = event { return bytes }
            return []
        }
    }
}

/// A client and a server engine joined by memory.
final class EnginePair {
    let clientSide = RecordingDelegate()
    let serverSide = RecordingDelegate()
    let client: HTTP2Engine
    let server: HTTP2Engine
    var now: UInt64 = 1_000_000_000
    private let buffer = UnsafeMutableRawPointer.allocate(byteCount: 65_536, alignment: 16)

    init(limits: HTTP2Limits = HTTP2Limits()) {
        client = HTTP2Engine(.client, delegate: clientSide, limits: limits, now: now)
        server = HTTP2Engine(.server, delegate: serverSide, limits: limits, now: now)
        clientSide.engine = client
        serverSide.engine = server
    }

    deinit {
        buffer.deallocate()
    }

    /// Carries bytes both ways until neither side has any.
    func exchange() {
        for _ in 0..<10_000 where move(client, server) + move(server, client) == 0 { return }
    }

    private func move(_ from: HTTP2Engine, _ to: HTTP2Engine) -> Int {
        let count = from.produce(into: buffer, capacity: 65_536)
        if count > 0 { _ = to.receive(buffer, count: count, now: now) }
        return count
    }

    /// Gives the server bytes as if the client had sent them.
    func inject(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { server.receive($0.baseAddress.unsafelyUnwrapped, count: $0.count, now: now) }
    }

    /// Opens a CONNECT stream.
    func open(_ authority: String = "10.0.0.1:80") -> (RecordingDelegate.Source, Int32?) {
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", authority)
        let (source, context) = clientSide.makeSource()
        let id = client.connect(head, context: context)
        source.id = id ?? 0
        if let id { clientSide.sources[id] = source }
        return (source, id)
    }
}
