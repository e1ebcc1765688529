internal import CLinux

/// A system call that failed: which one, and with what errno.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name of the call, as in its manual page.
    package let call: String
    /// The positive errno value.
    package let code: Int32

    package init(_ call: String, _ code: Int32) {
        self.call = call
        self.code = code
    }

    /// The errno's name, such as `ECONNREFUSED`.
    package var name: String { String(cString: zt_errno_name(code)) }

    /// `connect: ECONNREFUSED`.
    package var description: String { "\(call): \(name)" }

    /// The result of a `zt_` call, which is non-negative or -errno.
    package static func check(_ call: String, _ result: Int32) throws(SystemError) -> Int32 {
        guard result >= 0 else { throw SystemError(call, -result) }
        return result
    }
}
