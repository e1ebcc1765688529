import Capture
import Testing

@Suite struct ListenerTableTests {
    private let table = """
          sl  local_address         remote_address        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 00000000000000000000000000000000:3A99 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 71 1 0 100
           1: 00000000000000000000000000000000:3A9E 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 72 1 0 100
           2: 0000000000000000FFFF00000100007F:3A99 0000000000000000FFFF00000100007F:C001 01 0:0 00:0 0 0 0 73 1 0 100
           3: 00000000000000000000000001000000:3A99 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 74 1 0 100
           4: cut off
        """

    @Test func findsListenersOfThePort() {
        #expect(PodSockets.listeners(on: 15001, in: table) == [71, 74])
        #expect(PodSockets.listeners(on: 15006, in: table) == [72])
        #expect(PodSockets.listeners(on: 80, in: table) == [])
        #expect(PodSockets.listeners(on: 15001, in: "") == [])
    }
}
