//! Photos: what is taken for one, what is left of it, and who sees it.

use kiez_protocol::refusal::Code;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{DEVELOPMENT_KEY, Database, friend_id, job, north};
use crate::desk::House;
use crate::listing::{partner, set};

const PLACE: &[u8] = b"52.4996 13.4180";

/// A JPEG of so many pixels that says where it was taken.
fn jpeg(width: u16, drawn: &[u8]) -> Vec<u8> {
    let segment = |marker: u8, body: &[u8]| {
        let len = u16::try_from(body.len() + 2).expect("a short segment").to_be_bytes();
        [&[0xFF, marker], &len[..], body].concat()
    };
    let frame = [&[8, 0, 10][..], &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat();
    let (exif, scan) = (segment(0xE1, &[b"Exif\0\0", PLACE].concat()), segment(0xDA, &[1, 1, 0, 0, 63, 0]));
    [vec![0xFF, 0xD8], exif, segment(0xC0, &frame), scan, drawn.to_vec(), vec![0xFF, 0xD9]].concat()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The status, the head in small letters, and the bytes.
async fn raw(house: &House, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let address = house.server.address();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("asks");
    // A body that is too large is refused before it has gone out.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..split].to_vec()).expect("text").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, answer[split + 4..].to_vec())
}

async fn token_of(house: &House, index: usize) -> String {
    house.server.admin().friend_token(friend_id(index), Some(5)).await.expect("a token").token
}

pub async fn a_photo_is_what_its_bytes_say_and_shown_to_whom_the_rules_say(database: Database) {
    let mut house = House::of(database, 2).await;
    let id = friend_id(0);
    let (theirs, card) = (format!("/v1/admin/friends/{id}/photo"), format!("/v1/friends/{id}/photo"));
    let desk = format!("/v1/ops/friends/{id}/photo");
    // Brackets by the thousand: bytes are not looked at like JSON.
    let photo = jpeg(9, &[b'['; 60_000]);
    assert_eq!(raw(&house, "GET", &desk, DEVELOPMENT_KEY, b"").await.0, 404);
    let (status, _, told) = raw(&house, "PUT", &theirs, DEVELOPMENT_KEY, &photo).await;
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    let kept = photo.len() - 4 - 6 - PLACE.len();
    assert_eq!((status, told), (200, json!({"media": "image/jpeg", "width": 9, "height": 10, "bytes": kept})));
    let too_large = jpeg(9, &[b'x'; 65_536]);
    for (wanted, body) in [
        (413, &too_large[..]),
        (422, &b"<svg onload=alert(1)>"[..]),
        (422, b"GIF89a"),
        (422, b""),
        (422, &jpeg(2_049, b"x")),
        (422, &photo[..30_000]),
    ] {
        assert_eq!(raw(&house, "PUT", &theirs, DEVELOPMENT_KEY, body).await.0, wanted);
    }
    let nobody = theirs.replace(&id.to_string(), "0192f000-0000-7000-8000-0000000000ff");
    assert_eq!(raw(&house, "PUT", &nobody, DEVELOPMENT_KEY, &photo).await.0, 404);
    let (status, _, bytes) = raw(&house, "GET", &desk, DEVELOPMENT_KEY, b"").await;
    assert!(status == 200 && bytes.len() == kept && !holds(&bytes, PLACE), "where it was taken is not kept");

    // A partner sees it while the friend is listed, and not before.
    let admin = house.server.admin();
    let shop = admin.partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    assert_eq!(raw(&house, "GET", &card, &shop, b"").await.0, 404);
    assert_eq!(partner(&house).await.get("/v1/friends").await["friends"], json!([]));
    set(&house, id, |profile| profile["listed"] = json!(true)).await;
    let (status, head, shown) = raw(&house, "GET", &card, &shop, b"").await;
    assert_eq!((status, shown == bytes), (200, true));
    for header in [
        "content-type: image/jpeg",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; sandbox",
        "cache-control: private, no-cache",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert_eq!(partner(&house).await.get("/v1/friends").await["friends"][0]["card"]["photo"], json!(card));

    // The friend puts another in its place; nobody else's, and no other friend sees it.
    let (own, other) = (token_of(&house, 0).await, token_of(&house, 1).await);
    assert_eq!(raw(&house, "PUT", "/v1/friend/photo", &own, &jpeg(8, b"mine")).await.0, 200);
    assert_eq!(raw(&house, "GET", "/v1/friend/photo", &other, b"").await.0, 404);
    for path in [&card, &desk, &theirs] {
        let status = raw(&house, if *path == theirs { "DELETE" } else { "GET" }, path, &other, b"").await.0;
        assert_eq!(status, 401, "{path} with the token of another friend");
    }
    assert_eq!(raw(&house, "GET", "/v1/friend/photo", &shop, b"").await.0, 401);
    house.restart().await;
    let (status, _, bytes) = raw(&house, "GET", "/v1/friend/photo", &own, b"").await;
    assert!(status == 200 && holds(&bytes, b"mine"));
    assert_eq!(partner(&house).await.get("/v1/friends").await["friends"][0]["card"]["photo"], json!(card));

    // Erased is erased, again and after a restart.
    assert_eq!(raw(&house, "DELETE", "/v1/friend/photo", &own, b"").await.0, 204);
    assert_eq!(raw(&house, "DELETE", "/v1/friend/photo", &own, b"").await.0, 204);
    assert_eq!(raw(&house, "GET", &card, &shop, b"").await.0, 404);
    assert_eq!(partner(&house).await.get("/v1/friends").await["friends"][0]["card"]["photo"], Value::Null);
    house.restart().await;
    assert_eq!(raw(&house, "GET", "/v1/friend/photo", &own, b"").await.0, 404);
    assert_eq!(raw(&house, "PUT", &theirs, DEVELOPMENT_KEY, &photo).await.0, 200);
    let because = json!({"reason": "Somebody else came."});
    house.dispatcher.ask("POST", &format!("/v1/ops/friends/{id}/suspend"), because).await;
    assert_eq!(raw(&house, "PUT", "/v1/friend/photo", &own, &photo).await.0, 403);
    assert_eq!(raw(&house, "GET", &card, &shop, b"").await.0, 404, "and nobody is shown a friend who is suspended");
    assert_eq!(raw(&house, "DELETE", &theirs, DEVELOPMENT_KEY, b"").await.0, 204);
    let stored = house.dispatcher.audit(&format!("action=photo_stored&subject={id}")).await;
    assert_eq!(
        stored,
        ["development".to_owned(), id.to_string(), "development".to_owned()]
            .map(|who| format!("photo_stored by {who}"))
    );
    let erased = house.dispatcher.audit(&format!("action=photo_erased&subject={id}")).await;
    assert_eq!(erased, [id.to_string(), "development".to_owned()].map(|who| format!("photo_erased by {who}")));
    house.over().await;
}

pub async fn the_customer_sees_who_comes_once_somebody_comes(database: Database) {
    let house = House::of(database, 1).await;
    let id = friend_id(0);
    set(&house, id, |profile| {
        (profile["name"], profile["description"]) = (json!("Alex Muster"), json!("Muster macht's."));
        profile["focus"] = json!(["wifi"]);
    })
    .await;
    let own = token_of(&house, 0).await;
    assert_eq!(raw(&house, "PUT", "/v1/friend/photo", &own, &jpeg(8, b"mine")).await.0, 200);
    let mut alex = house.server.friend(id, north(&[100.0])[0]).await;
    let posted = house.server.partner().await.post(&job("P-1"), "P-1").await.expect("posted");
    let url = posted.customer_url.expect("a link");
    let link = format!("/v1/customer/{}", url.split_once('#').expect("a token behind it").1);
    let (photo, nobody) = (format!("{link}/photo"), crate::desk::Desk(house.server.http().with_key("none")));
    let offer = alex.offer().await;
    assert_eq!(nobody.get(&link).await["card"], Value::Null);
    assert_eq!(nobody.refused("GET", &photo, None).await.0, Code::NotFound, "before the win nobody has a face");

    let key = alex.client.accept(offer.offer, offer.revision);
    alex.verdict(key).await;
    let card = nobody.get(&link).await["card"].clone();
    assert_eq!(
        card,
        json!({"name": "Alex Muster", "tier": "friend", "languages": [], "focus": ["wifi"],
            "description": "Muster macht's.", "photo": photo})
    );
    let (status, head, bytes) = raw(&house, "GET", &photo, "none", b"").await;
    assert!(status == 200 && holds(&bytes, b"mine"));
    for header in ["cache-control: no-store", "referrer-policy: no-referrer", "x-content-type-options: nosniff"] {
        assert!(head.contains(header), "{header} in {head}");
    }

    // Who hands the job back is no longer shown.
    let hand_back = json!({"type": "visit", "job": posted.id, "event": "hand_back",
        "key": "0192f000-0000-7000-8000-0000000000c2"});
    alex.client.send(&serde_json::from_value(hand_back).expect("a frame"));
    alex.until("done", |message| matches!(message, kiez_protocol::friend::FriendMessage::Done { .. }).then_some(()))
        .await;
    assert_eq!(nobody.refused("GET", &photo, None).await.0, Code::NotFound);
    assert_eq!(nobody.get(&link).await["card"], Value::Null);
    house.over().await;
}
