/// A moment as UTC calendar fields, made from and turned into nanoseconds since 1970 without a date library.
package struct CivilTime: Hashable, Sendable {
    package var year: Int
    /// 1–12.
    package var month: Int
    /// 1–31.
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int
    /// 0–999,999,999.
    package var nanosecond: Int

    /// The calendar fields of a moment, proleptic Gregorian.
    package init(unixNanoseconds: Int64) {
        let (seconds, fraction) = Self.floorDivide(unixNanoseconds, 1_000_000_000)
        self.init(unixSeconds: seconds)
        nanosecond = Int(fraction)
    }

    /// The calendar fields of a whole second; years beyond 9999 read as the end of 9999, before 0 as the start of 0.
    package init(unixSeconds: Int64) {
        let seconds = min(max(unixSeconds, -62_167_219_200), 253_402_300_799)
        let (days, inDay) = Self.floorDivide(seconds, 86_400)
        // Days are counted in 400-year eras that begin on 1 March, so that the leap day ends its year.
        let (era, dayOfEra) = Self.floorDivide(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        month = Int(shifted < 10 ? shifted + 3 : shifted - 9)
        year = Int(era * 400 + yearOfEra) + (month <= 2 ? 1 : 0)
        day = Int(dayOfYear - (153 * shifted + 2) / 5 + 1)
        hour = Int(inDay / 3_600)
        minute = Int(inDay / 60 % 60)
        second = Int(inDay % 60)
        nanosecond = 0
    }

    /// Seconds since 1970.
    package var unixSeconds: Int64 {
        let shiftedYear = Int64(month <= 2 ? year - 1 : year)
        let (era, yearOfEra) = Self.floorDivide(shiftedYear, 400)
        let shifted = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * shifted + 2) / 5 + Int64(day) - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return days * 86_400 + Int64(hour) * 3_600 + Int64(minute) * 60 + Int64(second)
    }

    /// Nanoseconds since 1970; nil when they do not fit (outside the years 1678 to 2262).
    package var unixNanoseconds: Int64? {
        let (product, overflow) = unixSeconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = product.addingReportingOverflow(Int64(nanosecond))
        return overflow || carried ? nil : sum
    }

    private static func floorDivide(_ a: Int64, _ b: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
        return remainder < 0 ? (quotient - 1, remainder + b) : (quotient, remainder)
    }
}

extension CivilTime {
    /// Reads RFC 3339 UTC text (`2026-11-21T00:06:59Z`, with up to nine decimals of a second); nil for anything else.
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.count <= 30, bytes.last == UInt8(ascii: "Z") else { return nil }
        for (index, mark) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")] as [(Int, Unicode.Scalar)]
        where bytes[index] != UInt8(ascii: mark) {
            return nil
        }
        func number(_ range: Range<Int>) -> Int? {
            var value = 0
            for byte in bytes[range] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int(byte - 48)
            }
            return value
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60
        else { return nil }
        var nanosecond = 0
        if bytes.count > 20 {
            guard bytes[19] == UInt8(ascii: "."), bytes.count > 21, let value = number(20..<(bytes.count - 1)) else {
                return nil
            }
            nanosecond = value
            for _ in (bytes.count - 21)..<9 { nanosecond *= 10 }
        }
        self.init(unixSeconds: 0)
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second, self.nanosecond) = (hour, minute, second, nanosecond)
    }

    /// Appends RFC 3339 UTC text with the given number of decimals of a second (0–9).
    package func write(into buffer: inout [UInt8], decimals: Int) {
        func digits(_ value: Int, _ width: Int) {
            var divisor = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                buffer.append(48 + UInt8(value / divisor % 10))
                divisor /= 10
            }
        }
        digits(max(0, year), 4)
        buffer.append(UInt8(ascii: "-"))
        digits(month, 2)
        buffer.append(UInt8(ascii: "-"))
        digits(day, 2)
        buffer.append(UInt8(ascii: "T"))
        digits(hour, 2)
        buffer.append(UInt8(ascii: ":"))
        digits(minute, 2)
        buffer.append(UInt8(ascii: ":"))
        digits(second, 2)
        if decimals > 0 {
            buffer.append(UInt8(ascii: "."))
            var fraction = nanosecond
            for _ in min(decimals, 9)..<9 { fraction /= 10 }
            digits(fraction, min(decimals, 9))
        }
        buffer.append(UInt8(ascii: "Z"))
    }
}

extension CivilTime: CustomStringConvertible {
    /// RFC 3339 UTC text to the second.
    package var description: String {
        var bytes: [UInt8] = []
        write(into: &bytes, decimals: 0)
        return String(decoding: bytes, as: UTF8.self)
    }
}
