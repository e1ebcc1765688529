let carriageReturn: UInt8 = 13
let lineFeed: UInt8 = 10
let space: UInt8 = 32
let horizontalTab: UInt8 = 9

extension UInt8 {
    /// A `tchar` of RFC 9110: what methods and field names are made of.
    @inline(__always)
    var isTokenOctet: Bool {
        if self < 64 { return 0x03ff_6cfa_0000_0000 as UInt64 >> UInt64(self) & 1 == 1 }
        return self < 128 && 0x57ff_ffff_c7ff_fffe as UInt64 >> UInt64(self - 64) & 1 == 1
    }

    /// What a field value may hold: tab, space, visible ASCII and obs-text; no control character.
    @inline(__always)
    var isFieldValueOctet: Bool { self >= 32 && self != 127 || self == horizontalTab }

    /// Visible ASCII without `#`: what a request target may hold.
    @inline(__always)
    var isTargetOctet: Bool { self > 32 && self < 127 && self != 35 }

    /// What stands in `uri-host [ ":" port ]`; user info, lists and paths are excluded by `@`, `,` and `/`.
    var isAuthorityOctet: Bool {
        switch self {
        case 48...57, 65...90, 97...122: true
        case 33, 36, 37, 38, 39, 40, 41, 42, 43, 45, 46, 58, 59, 61, 91, 93, 95, 126: true
        default: false
        }
    }

    @inline(__always)
    var isUpperCase: Bool { self >= 65 && self <= 90 }

    @inline(__always)
    var isDigit: Bool { self >= 48 && self <= 57 }

    /// The value of a hexadecimal digit, or 16.
    @inline(__always)
    var hexValue: UInt8 {
        switch self {
        case 48...57: self - 48
        case 97...102: self - 87
        case 65...70: self - 55
        default: 16
        }
    }
}

extension Span<UInt8> {
    /// Whether exactly these bytes stand from `at` to `end`.
    func hold(_ text: StaticString, at start: Int, end: Int) -> Bool {
        guard end - start == text.utf8CodeUnitCount, end <= count else { return false }
        for i in 0..<text.utf8CodeUnitCount where self[start + i] != text.utf8Start[i] { return false }
        return true
    }

    /// Whether these bytes stand from `at` to `end` when ASCII letters are compared without case; `text` is lower case.
    func holdIgnoringCase(_ text: StaticString, at start: Int, end: Int) -> Bool {
        guard end - start == text.utf8CodeUnitCount, end <= count else { return false }
        for i in 0..<text.utf8CodeUnitCount {
            let byte = self[start + i]
            if (byte.isUpperCase ? byte | 32 : byte) != text.utf8Start[i] { return false }
        }
        return true
    }
}
