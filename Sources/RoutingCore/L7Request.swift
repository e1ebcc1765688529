/// Gives the fields of a request to the matcher without copying them.
package protocol L7Fields: AnyObject {
    /// Whether any field of that lower-case name has a value that the body accepts.
    func hasField(named name: String, where body: (UnsafeRawBufferPointer) -> Bool) -> Bool
}

/// What routing looks at in one request; borrows the request's bytes, so it lives only as long as they stand still.
package struct L7Request {
    package let method: UnsafeRawBufferPointer
    /// Host and port as the request names them; may be empty.
    package let authority: UnsafeRawBufferPointer
    /// Path and query, normalised.
    package let path: UnsafeRawBufferPointer
    private unowned(unsafe) let fields: any L7Fields

    package init(
        method: UnsafeRawBufferPointer, authority: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer,
        fields: any L7Fields
    ) {
        self.method = method
        self.authority = authority
        self.path = path
        self.fields = fields
    }

    /// The path without its query.
    var pathOnly: UnsafeRawBufferPointer {
        guard let query = path.firstIndex(of: UInt8(ascii: "?")) else { return path }
        return UnsafeRawBufferPointer(rebasing: path[..<query])
    }

    /// The authority without its port.
    var host: UnsafeRawBufferPointer {
        guard let colon = authority.lastIndex(of: UInt8(ascii: ":")), !authority[colon...].contains(UInt8(ascii: "]"))
        else { return authority }
        return UnsafeRawBufferPointer(rebasing: authority[..<colon])
    }

    func hasField(named name: String, where body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        fields.hasField(named: name, where: body)
    }
}
