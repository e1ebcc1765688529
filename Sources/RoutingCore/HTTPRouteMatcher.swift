internal import Glibc
package import MeshModel

/// Finds the rule of a request and one of its backends.
package enum HTTPRouteMatcher {
    /// The best entry whose conditions the request meets; nil when none does. Allocates nothing.
    package static func match(_ request: L7Request, in routes: HTTPRouteTable.Routes) -> HTTPRouteTable.Entry? {
        var recorder = NoRecorder()
        return match(request, in: routes, &recorder)
    }

    /// The same with the steps that led there.
    package static func trace(
        _ request: L7Request, in routes: HTTPRouteTable.Routes
    ) -> (entry: HTTPRouteTable.Entry?, trace: DecisionTrace) {
        var recorder = DecisionTrace()
        let entry = match(request, in: routes, &recorder)
        return (entry, recorder)
    }

    /// One backend of a rule, by chance in proportion to the weights: the called service when the rule names none, nil when
    /// all weights are 0.
    package static func backend(
        of entry: HTTPRouteTable.Entry, random: inout RandomDraws
    ) -> HTTPRoute.Backend.Destination? {
        let backends = entry.rule.backends
        guard let first = backends.first else { return .called }
        guard entry.totalWeight > 0 else { return nil }
        if backends.count == 1 { return first.destination }
        var left = random.next(below: entry.totalWeight)
        for backend in backends {
            if left < UInt64(backend.weight) { return backend.destination }
            left -= UInt64(backend.weight)
        }
        return nil
    }

    private static func match<Recorder: DecisionRecorder>(
        _ request: L7Request, in routes: HTTPRouteTable.Routes, _ recorder: inout Recorder
    ) -> HTTPRouteTable.Entry? {
        let path = request.pathOnly
        for entry in routes.entries {
            if let host = entry.host, !meets(host, request.host) {
                recorder.note("\(entry.name): the host is not \(describe(host))")
                continue
            }
            guard meets(entry.match.path, path) else {
                recorder.note("\(entry.name): the path is not \(describe(entry.match.path))")
                continue
            }
            if let method = entry.match.method, !equals(method, request.method) {
                recorder.note("\(entry.name): the method is not \(method)")
                continue
            }
            if let missed = entry.match.headers.first(where: { !meets($0, request) }) {
                recorder.note("\(entry.name): no field '\(missed.name)' is \(describe(missed.value))")
                continue
            }
            recorder.note("\(entry.name) matches")
            return entry
        }
        recorder.note("no rule matches")
        return nil
    }

    private static func meets(_ host: HTTPRoute.Host, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch host {
        case .exact(let name): return equalsIgnoringCase(name, bytes)
        case .suffix(let suffix):
            // The wildcard stands for at least one byte.
            let length = suffix.utf8.count
            guard bytes.count > length else { return false }
            return equalsIgnoringCase(suffix, UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - length)...]))
        }
    }

    private static func meets(_ path: HTTPRoute.Path, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch path {
        case .exact(let text): return equals(text, bytes)
        case .prefix(let text):
            let length = text.utf8.count
            guard bytes.count >= length else { return false }
            guard equals(text, UnsafeRawBufferPointer(rebasing: bytes[..<length])) else { return false }
            return bytes.count == length ? length > 0 : bytes[length] == UInt8(ascii: "/")
        case .beginning(let text):
            let length = text.utf8.count
            return bytes.count >= length && equals(text, UnsafeRawBufferPointer(rebasing: bytes[..<length]))
        case .ending(let text):
            let length = text.utf8.count
            return bytes.count >= length
                && equals(text, UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - length)...]))
        }
    }

    private static func meets(_ header: HTTPRoute.Header, _ request: L7Request) -> Bool {
        request.hasField(named: header.name) { value in
            switch header.value {
            case .exact(let text): equals(text, value)
            case .prefix(let text):
                value.count >= text.utf8.count
                    && equals(text, UnsafeRawBufferPointer(rebasing: value[..<text.utf8.count]))
            case .suffix(let text):
                value.count >= text.utf8.count
                    && equals(text, UnsafeRawBufferPointer(rebasing: value[(value.count - text.utf8.count)...]))
            case .presence: true
            }
        }
    }

    private static func equals(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard text.utf8.count == bytes.count else { return false }
        let equal = text.utf8.withContiguousStorageIfAvailable { text in
            guard let a = text.baseAddress, let b = bytes.baseAddress else { return true }
            return memcmp(a, b, bytes.count) == 0
        }
        return equal ?? text.utf8.elementsEqual(bytes)
    }

    private static func equalsIgnoringCase(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        text.utf8.elementsEqual(bytes) { a, b in a == (b >= 65 && b <= 90 ? b | 32 : b) }
    }

    private static func describe(_ host: HTTPRoute.Host) -> String {
        switch host {
        case .exact(let name): "'\(name)'"
        case .suffix(let suffix): "'*\(suffix)'"
        }
    }

    private static func describe(_ path: HTTPRoute.Path) -> String {
        switch path {
        case .exact(let text): "exactly '\(text)'"
        case .prefix(let text): "at or below '\(text.isEmpty ? "/" : text)'"
        case .beginning(let text): "'\(text)…'"
        case .ending(let text): "'…\(text)'"
        }
    }

    private static func describe(_ match: StringMatch) -> String {
        switch match {
        case .exact(let text): "'\(text)'"
        case .prefix(let text): "'\(text)…'"
        case .suffix(let text): "'…\(text)'"
        case .presence: "there"
        }
    }
}
