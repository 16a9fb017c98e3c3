//! The friend's socket against frames that no library would send, byte by byte: what the conformance suite tries, as far
//! as it tells most, on the production socket with its production limits. A socket that is closed hears its code, and its
//! neighbour notices nothing.

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::time::Duration;

use common::{TestServer, friend_id, north};
use raw::{BINARY, CLOSE, FIN, PING, PONG, Raw, TEXT, frame, goodbye, unmasked};

const WRONG: &str = "close 1002 the frame is not well formed";
const NOT_UTF_8: &str = "close 1007 the text is not UTF-8";
const LARGE: &str = "close 1009 the message is too large";

async fn server(knobs: &[(&str, &str)]) -> (TestServer, String) {
    let server = TestServer::with(knobs, 1).await;
    server.town(&north(&[100.0, 200.0])).await;
    let token = server.admin().friend_token(friend_id(0), Some(60)).await.expect("a token").token;
    (server, token)
}

async fn neighbour(server: &TestServer) -> Raw {
    let token = server.admin().friend_token(friend_id(1), Some(60)).await.expect("a token").token;
    let mut raw = Raw::friend(&server.address()).await;
    raw.hello(&token).await;
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_rules_close_their_own_socket_with_the_right_code() {
    let (mut server, token) = server(&[]).await;
    let mut neighbour = neighbour(&server).await;
    let ping = br#"{"type":"ping","t":1}"#;
    let euro = "{\"type\":\"ping\",\"t\":1,\"x\":\"€\"}".as_bytes();
    let split = euro.iter().position(|byte| *byte == 0xe2).expect("a character of three bytes") + 1;
    let overlong = b"\xc0\xaf".as_slice();
    let surrogate = b"{\"x\":\"\xed\xa0\x80\"}".as_slice();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a frame without a mask", unmasked(FIN | TEXT, ping), WRONG),
        ("a reserved bit (compression that was not agreed)", frame(FIN | 0x40 | TEXT, ping), WRONG),
        ("another reserved bit", frame(FIN | 0x10 | TEXT, ping), WRONG),
        ("a reserved kind of data", frame(FIN | 0x3, ping), WRONG),
        ("a reserved kind of control", frame(FIN | 0xb, b""), WRONG),
        ("a ping in two frames", frame(PING, b"a"), WRONG),
        ("a ping of 126 bytes", frame(FIN | PING, &[0; 126]), WRONG),
        ("a continuation of nothing", frame(FIN, ping), WRONG),
        ("a message inside a message", [frame(TEXT, b"{"), frame(FIN | TEXT, ping)].concat(), WRONG),
        ("a goodbye of one byte", frame(FIN | CLOSE, &[3]), WRONG),
        ("a binary message", frame(FIN | BINARY, ping), "close 1003 text frames only"),
        ("an overlong encoding", frame(FIN | TEXT, overlong), NOT_UTF_8),
        ("half of a pair of surrogates", frame(FIN | TEXT, surrogate), NOT_UTF_8),
        ("a character broken off at the end", frame(FIN | TEXT, &euro[..split]), NOT_UTF_8),
        (
            "a character that goes on wrongly in the next frame",
            [frame(TEXT, &euro[..split]), frame(FIN, b"\"}")].concat(),
            NOT_UTF_8,
        ),
        ("a goodbye whose reason is not UTF-8", goodbye(1000, overlong), NOT_UTF_8),
        ("a frame of 4 KiB and one byte", frame(FIN | TEXT, &[b' '; 4_097]), LARGE),
        (
            "a message of 4 KiB and one byte in frames",
            [frame(TEXT, &[b' '; 4_000]), frame(FIN, &[b' '; 97])].concat(),
            LARGE,
        ),
        (
            "a frame that promises 2^63 bytes",
            [vec![FIN | TEXT, 0xff, 0x7f], vec![0xff; 7], vec![1, 2, 3, 4]].concat(),
            LARGE,
        ),
    ];
    for (what, bytes, end) in cases {
        // Before hello and after it: strangers are held to the same rules.
        let mut stranger = Raw::friend(&server.address()).await;
        stranger.send(&bytes).await;
        assert_eq!(stranger.end().await, end, "{what}, from a stranger");
        let mut friend = Raw::friend(&server.address()).await;
        friend.hello(&token).await;
        friend.send(&bytes).await;
        assert_eq!(friend.end().await, end, "{what}");
        assert!(neighbour.lives().await, "{what}");
    }
    drop(neighbour);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rules_allow_is_understood() {
    let (mut server, token) = server(&[]).await;
    let mut friend = Raw::friend(&server.address()).await;
    friend.hello(&token).await;

    friend.send(&frame(FIN | PING, b"are you there?")).await;
    assert_eq!(friend.frame().await, Some((FIN | PONG, b"are you there?".to_vec())));
    friend.send(&frame(FIN | PING, &[7; 125])).await;
    assert_eq!(friend.frame().await, Some((FIN | PONG, vec![7; 125])));
    friend.send(&frame(FIN | PONG, b"unasked")).await;

    // A character may be cut in two, and a ping may stand between the halves.
    let text = "{\"type\":\"ping\",\"t\":8,\"x\":\"€\"}".as_bytes();
    let split = text.iter().position(|byte| *byte == 0xe2).expect("a character of three bytes") + 1;
    let parts = [frame(TEXT, &text[..split]), frame(FIN | PING, b"between"), frame(0, b""), frame(FIN, &text[split..])];
    friend.send(&parts.concat()).await;
    assert_eq!(friend.frame().await, Some((FIN | PONG, b"between".to_vec())));
    assert_eq!(friend.heard().await["t"], 8);

    // A message of the largest size, and one that comes byte by byte, each byte a frame of its own.
    let largest = format!("{:4096}", r#"{"type":"ping","t":9}"#);
    friend.say(&largest).await;
    assert_eq!(friend.heard().await["t"], 9);
    let bytes = br#"{"type":"ping","t":10}"#;
    friend.send(&frame(TEXT, &bytes[..1])).await;
    for byte in &bytes[1..] {
        friend.drip(&frame(0, &[*byte]), Duration::ZERO).await;
    }
    friend.send(&frame(FIN, b"")).await;
    assert_eq!(friend.heard().await["t"], 10);

    // Two messages in one segment, and a goodbye that is answered.
    let two = [frame(FIN | TEXT, br#"{"type":"ping","t":1}"#), frame(FIN | TEXT, br#"{"type":"ping","t":2}"#)];
    friend.send(&two.concat()).await;
    assert_eq!((friend.heard().await["t"].clone(), friend.heard().await["t"].clone()), (1.into(), 2.into()));
    friend.send(&goodbye(1001, b"the app sleeps")).await;
    assert_eq!(friend.end().await, "close 1001 the app sleeps");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_is_answered_also_when_its_code_is_none() {
    let (mut server, token) = server(&[]).await;
    for (sent, end) in [
        (frame(FIN | CLOSE, b""), "close"),
        (goodbye(1000, b""), "close 1000"),
        (goodbye(3000, b"mine"), "close 3000 mine"),
        (goodbye(999, b""), "close 1002 Protocol violation"),
        (goodbye(1004, b""), "close 1002 Protocol violation"),
        (goodbye(1005, b""), "close 1002 Protocol violation"),
        (goodbye(1006, b""), "close 1002 Protocol violation"),
        (goodbye(2999, b""), "close 1002 Protocol violation"),
    ] {
        let mut friend = Raw::friend(&server.address()).await;
        friend.hello(&token).await;
        friend.send(&sent).await;
        assert_eq!(friend.end().await, end, "{sent:?}");
    }
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_does_not_come_to_its_end_is_not_waited_for() {
    let (mut server, token) = server(&[("KIEZ_LIMITS__HELLO_MS", "400")]).await;
    let mut neighbour = neighbour(&server).await;
    let (late, pause) = ("close 4008 the message does not come to its end", Duration::from_millis(30));
    let text = frame(FIN | TEXT, &[b' '; 100]);
    // One frame in single bytes, a message in frames of one byte, empty frames without end, pings between them: each
    // byte is a sign of life, and none of it a message.
    let fragments = [frame(TEXT, b"{"), [frame(0, b" "), frame(0, b"")].concat().repeat(60)].concat();
    for (what, bytes) in [("bytes", text), ("fragments", fragments)] {
        let mut friend = Raw::friend(&server.address()).await;
        friend.hello(&token).await;
        let begun = tokio::time::timeout(Duration::from_secs(3), async {
            // Whoever is closed may find out by writing.
            let _ = friend.drip(&bytes, pause).await;
            friend.end().await
        });
        assert_eq!(begun.await.expect("within the deadline"), late, "{what}");
        assert!(neighbour.lives().await);
    }
    // As fast as they come: a flood of empty frames leaves no pause in which a clock would be looked at by itself.
    let mut friend = Raw::friend(&server.address()).await;
    friend.hello(&token).await;
    friend.send(&frame(TEXT, b"{")).await;
    let flood = frame(0, b"").repeat(2_000);
    let flooded = tokio::time::timeout(Duration::from_secs(5), async { while friend.send(&flood).await {} });
    flooded.await.expect("the flood is cut");
    assert!(neighbour.lives().await);
    drop((neighbour, friend));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_is_cut() {
    let (mut server, token) = server(&[]).await;
    let mut friend = Raw::friend(&server.address()).await;
    friend.hello(&token).await;
    friend.send(&frame(FIN | PING, b"").repeat(21)).await;
    assert_eq!(friend.end().await, "close 4013 too many pings");
    server.down().await;
}
