/// How often something happened in each of the last 24 hours. Times are seconds since 1970.
package struct FlowCount: Sendable {
    private var hours = InlineArray<24, UInt32>(repeating: 0)
    private var hour: UInt64
    package let first: UInt64
    package private(set) var last: UInt64

    /// Counts nothing yet.
    package init(at now: UInt64) {
        first = now
        last = now
        hour = now / 3600
    }

    /// Counts one.
    package mutating func add(at now: UInt64) {
        advance(to: now / 3600)
        let place = Int(hour % 24)
        hours[place] = hours[place] &+ 1
        // A clock that is set back does not take back what was seen.
        last = max(last, now)
    }

    /// How many there were in the day before `now`, in whole hours.
    package func lastDay(at now: UInt64) -> UInt64 {
        var copy = self
        copy.advance(to: now / 3600)
        var sum: UInt64 = 0
        for place in 0..<24 { sum += UInt64(copy.hours[place]) }
        return sum
    }

    /// What two have counted of the same.
    package func merged(with other: FlowCount) -> FlowCount {
        var sum = FlowCount(at: min(first, other.first))
        var (one, two) = (self, other)
        let hour = max(one.hour, two.hour)
        one.advance(to: hour)
        two.advance(to: hour)
        for place in 0..<24 { sum.hours[place] = one.hours[place] &+ two.hours[place] }
        sum.hour = hour
        sum.last = max(one.last, two.last)
        return sum
    }

    private mutating func advance(to now: UInt64) {
        guard now > hour else { return }
        if now - hour >= 24 {
            hours = InlineArray(repeating: 0)
        } else {
            for passed in (hour + 1)...now { hours[Int(passed % 24)] = 0 }
        }
        hour = now
    }
}
