/// A pod and where its network namespace is found: `NAMESPACE/NAME@PATH` on a command line.
package struct PodLocation: Hashable, Sendable, CustomStringConvertible {
    /// The Kubernetes namespace.
    package let namespace: String
    /// The pod's name.
    package let name: String
    /// The absolute path of its network namespace, such as `/run/netns/x` or `/proc/123/ns/net`.
    package let path: String

    /// Makes a location from parts that are known to be valid.
    package init(namespace: String, name: String, path: String) {
        self.namespace = namespace
        self.name = name
        self.path = path
    }

    /// `NAMESPACE/NAME`, the name under which people know the pod.
    package var pod: String { "\(namespace)/\(name)" }

    /// `NAMESPACE/NAME@PATH`.
    package var description: String { "\(pod)@\(path)" }

    /// Reads `NAMESPACE/NAME@PATH`.
    ///
    /// - Throws: ``CaptureFailure`` that quotes the text, names what is wrong and shows the form.
    package init(parsing text: String) throws(CaptureFailure) {
        func wrong(_ what: String) -> CaptureFailure {
            CaptureFailure(
                "pod \"\(escaped(text))\": \(what); write it as NAMESPACE/NAME@PATH, "
                    + "for example default/client@/run/netns/client")
        }
        guard let at = text.firstIndex(of: "@") else { throw wrong("the path of its network namespace is missing") }
        let parts = text[..<at].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw wrong("the part before @ is not NAMESPACE/NAME") }
        let path = text[text.index(after: at)...]
        guard Self.isName(parts[0], limit: 63) else {
            throw wrong("\"\(escaped(parts[0]))\" is not a Kubernetes namespace (a-z, 0-9 and -, at most 63)")
        }
        guard Self.isName(parts[1], limit: 253, dots: true) else {
            throw wrong("\"\(escaped(parts[1]))\" is not a pod name (a-z, 0-9, - and ., at most 253)")
        }
        guard path.hasPrefix("/") else { throw wrong("the path \"\(escaped(path))\" is not absolute") }
        guard path.utf8.count < 4096, !path.utf8.contains(0) else { throw wrong("the path is too long") }
        self.init(namespace: String(parts[0]), name: String(parts[1]), path: String(path))
    }

    /// RFC 1123 labels, with dots where a pod's name may have them.
    private static func isName(_ text: Substring, limit: Int, dots: Bool = false) -> Bool {
        guard (1...limit).contains(text.utf8.count), text.first != "-", text.last != "-" else { return false }
        guard text.first != ".", text.last != "." else { return false }
        return text.utf8.allSatisfy { byte in
            (97...122).contains(byte) || (48...57).contains(byte) || byte == 45 || (dots && byte == 46)
        }
    }
}

/// Text from outside, made safe for one line of a message.
func escaped(_ text: some StringProtocol) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(256) {
        if scalar == "\"" || scalar == "\\" {
            result += "\\\(scalar)"
        } else if scalar.value < 32 || scalar.value == 127 || (128..<160).contains(scalar.value) {
            result += "\\x" + String(scalar.value, radix: 16)
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}
