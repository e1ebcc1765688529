import Testing

@testable import NodeProxy

struct DrainDeadlineTests {
    @Test(arguments: [("5", 5), ("5s", 5), ("2m", 120), ("1h", 3600), ("0s", 0), ("86400", 86_400)])
    func durations(text: String, seconds: Int) {
        #expect(DrainDeadline.parse(text) == seconds)
    }

    @Test(arguments: ["", "s", "-1", "5x", "5ms", " 5", "1.5s", "86401", "99999999999999999999"])
    func noDurations(text: String) {
        #expect(DrainDeadline.parse(text) == nil)
    }
}
