/// A request as a person describes it, to ask the routes about.
package struct L7Question: Hashable, Sendable {
    package var method: String
    /// With its query; as a client would write it.
    package var path: String
    package var host: String
    /// Names in lower case.
    package var headers: [Header]

    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(method: String, path: String, host: String = "", headers: [Header] = []) {
        self.method = method
        self.path = path
        self.host = host
        self.headers = headers
    }

    /// Calls the body with the request as the matcher sees it, its path in the form that live ones get.
    func withRequest<Result>(_ body: (L7Request) -> Result) -> Result {
        let written = Array((path.isEmpty ? "/" : path).utf8)
        let path = written.withUnsafeBytes { L7Path.normalized($0) } ?? written
        let fields = Fields(headers)
        return Array(method.utf8).withUnsafeBytes { method in
            Array(host.utf8).withUnsafeBytes { host in
                path.withUnsafeBytes { path in
                    withExtendedLifetime(fields) {
                        body(L7Request(method: method, authority: host, path: path, fields: fields))
                    }
                }
            }
        }
    }

    private final class Fields: L7Fields {
        private let headers: [Header]
        init(_ headers: [Header]) { self.headers = headers }

        func hasField(named name: String, where body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
            headers.contains { header in
                header.name == name && Array(header.value.utf8).withUnsafeBytes { body($0) }
            }
        }
    }
}
