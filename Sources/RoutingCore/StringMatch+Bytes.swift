internal import MeshModel

extension StringMatch {
    /// Whether the text matches, compared byte for byte.
    func matches(_ text: String) -> Bool {
        switch self {
        case .exact(let value): value.utf8.count == text.utf8.count && value.isPart(of: text, at: 0)
        case .prefix(let value): value.isPart(of: text, at: 0)
        case .suffix(let value): value.isPart(of: text, at: text.utf8.count - value.utf8.count)
        case .presence: !text.isEmpty
        }
    }

    /// Whether the identity without its scheme, `TD/ns/NS/sa/SA`, matches; its text is never made.
    func matches(pathOf id: SpiffeID) -> Bool {
        let count = id.trustDomain.utf8.count + id.namespace.utf8.count + id.serviceAccount.utf8.count + 8
        switch self {
        case .exact(let value): return value.utf8.count == count && value.isPart(ofPathOf: id, at: 0)
        case .prefix(let value): return value.utf8.count <= count && value.isPart(ofPathOf: id, at: 0)
        case .suffix(let value):
            return value.utf8.count <= count && value.isPart(ofPathOf: id, at: count - value.utf8.count)
        case .presence: return true
        }
    }
}

extension String {
    /// Runs the body with the bytes; without a copy for every string that Swift itself made.
    fileprivate func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        utf8.withContiguousStorageIfAvailable(body) ?? Array(utf8).withUnsafeBufferPointer(body)
    }

    /// Whether the text has these bytes at that offset.
    fileprivate func isPart(of text: String, at offset: Int) -> Bool {
        guard offset >= 0, offset + utf8.count <= text.utf8.count else { return false }
        return withBytes { mine in
            text.withBytes { theirs in mine.elementsEqual(theirs[offset..<(offset + mine.count)]) }
        }
    }

    /// Whether the path of the identity has these bytes at that offset, which must leave room for them.
    fileprivate func isPart(ofPathOf id: SpiffeID, at offset: Int) -> Bool {
        withBytes { mine in
            // `start` is where a piece begins in the path; only what overlaps is compared.
            func agrees(_ piece: String, _ start: inout Int) -> Bool {
                let from = max(start, offset)
                let to = min(start + piece.utf8.count, offset + mine.count)
                let begin = start
                start += piece.utf8.count
                guard from < to else { return true }
                return piece.withBytes { bytes in
                    bytes[(from - begin)..<(to - begin)].elementsEqual(mine[(from - offset)..<(to - offset)])
                }
            }
            var start = 0
            return agrees(id.trustDomain, &start) && agrees("/ns/", &start) && agrees(id.namespace, &start)
                && agrees("/sa/", &start) && agrees(id.serviceAccount, &start)
        }
    }
}
