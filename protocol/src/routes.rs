//! Every HTTP route of the server, once: who may ask, what it takes, what it answers and how it says no. The OpenAPI
//! document is made of this table, and a test of the server walks its router against it in both directions.

use crate::refusal::Code;

/// One method of one path.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method, in small letters.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// A name no other route has, for generated clients.
    pub name: &'static str,
    /// Which part of the API it belongs to.
    pub part: Part,
    /// What it does, in a few words.
    pub does: &'static str,
    /// What a caller should know besides.
    pub about: &'static str,
    /// Whose credentials it needs.
    pub who: Who,
    /// What the path, the query and the headers take.
    pub parameters: &'static [&'static [Parameter]],
    /// What the body takes.
    pub body: Option<Body>,
    /// The answers that are no refusals.
    pub answers: &'static [Answer],
    /// The refusals, in groups.
    pub refusals: &'static [&'static [Code]],
}

/// The parts of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// For partners.
    Partners,
    /// For customers, by a link.
    Customers,
    /// For who maintains the directory.
    Admin,
    /// For who watches over jobs and friends.
    Ops,
    /// The upgrades to a WebSocket.
    Sockets,
    /// For people with a browser, and for machines that read contracts.
    Pages,
    /// For supervisors.
    Health,
}

impl Part {
    /// All, in the order in which a reader wants them.
    pub const ALL: &'static [Part] =
        &[Part::Partners, Part::Customers, Part::Admin, Part::Ops, Part::Sockets, Part::Pages, Part::Health];

    /// The name, and what belongs to it.
    pub fn about(self) -> (&'static str, &'static str) {
        match self {
            Part::Customers => ("customers", "One job by its link. The token in the path is the only credential."),
            Part::Partners => ("partners", "Jobs in, their state out."),
            Part::Admin => ("admin", "The directory: communities, packages, partners, friends; tokens and keys."),
            Part::Ops => ("ops", "What ops look at and do. Whatever changes something lands in the audit log."),
            Part::Sockets => ("sockets", "Upgrades to a WebSocket. What is said there is in `/asyncapi.json`."),
            Part::Pages => ("pages", "The live map, and the contract itself."),
            Part::Health => ("health", "For supervisors, load balancers and meters."),
        }
    }
}

/// Whose credentials a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody's.
    Anybody,
    /// A partner's API key.
    Partner,
    /// An ops token of the role `viewer` or above.
    Viewer,
    /// An ops token of the role `dispatcher` or above.
    Dispatcher,
    /// An ops token of the role `admin`.
    Admin,
    /// Nobody's, but only on the operator's listener, which is never public.
    Operator,
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// `path`, `query` or `header`.
    pub place: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// The values it takes.
    pub takes: Takes,
}

/// The values of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Those of a type of this crate, by the name of its schema.
    Type(&'static str),
    /// A whole number.
    Number {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
        /// What counts without it.
        default: u32,
    },
    /// A text of at least one character, percent-encoded as in any URL.
    Text {
        /// The most characters.
        most: u32,
    },
    /// Visible ASCII characters, at least one.
    Ascii {
        /// The most characters.
        most: u32,
    },
    /// This word.
    Word(&'static str),
    /// Anything: it is there or not.
    Flag,
}

/// What a body takes.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Its type, by the name in `schema`.
    pub message: &'static str,
    /// Its examples, by the names of their files without `.json`.
    pub examples: &'static [&'static str],
    /// Whether an empty body is refused; where not, it counts as `{}`.
    pub required: bool,
    /// Whether it is NDJSON: a message a line.
    pub lines: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// When it comes.
    pub about: &'static str,
    /// What is in it.
    pub content: Content,
    /// Headers besides `x-request-id`, which every answer has: the name, and what it says.
    pub headers: &'static [(&'static str, &'static str)],
}

/// What is in an answer.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// JSON: the message by the name in `schema`, and its examples by the names of their files without `.json`.
    Json(&'static str, &'static [&'static str]),
    /// JSON whose shape is told elsewhere: a document of the contract.
    Document,
    /// Text of a media type.
    Text(&'static str),
}

const KEY: &[Code] = &[Code::Unauthorized, Code::TooMany, Code::Unavailable];
const ROLE: &[Code] = &[Code::Unauthorized, Code::Forbidden];
const BODY: &[Code] = &[Code::BadRequest, Code::RequestTimeout, Code::TooLarge, Code::Invalid];
const OF_LINK: &[Code] = &[Code::BadRequest, Code::NotFound, Code::Unavailable];
const OF_JOB: &[Code] = &[Code::BadRequest, Code::NotFound];
const CHANGE: &[Code] = &[Code::WrongState, Code::Internal];
const DOCUMENT: &[&[Code]] = &[ROLE, BODY, &[Code::Unavailable, Code::VersionConflict]];
const LOOK: &[&[Code]] = &[ROLE, &[Code::BadRequest, Code::NotFound, Code::Invalid, Code::Unavailable]];
const ACCOUNT: &[&[Code]] = &[ROLE, BODY, &[Code::NotFound, Code::WrongState, Code::Unavailable]];
const UPGRADE: &[&[Code]] = &[&[Code::BadRequest, Code::Unavailable]];

const LINK: &[Parameter] = &[path("token", "The secret part of the link.", Takes::Ascii { most: 1_024 })];
const PROPOSAL_ID: &[Parameter] = &[path("id", "The proposal.", Takes::Type("offer_id"))];
const JOB_ID: &[Parameter] = &[path("id", "The job.", Takes::Type("job_id"))];
const FRIEND_ID: &[Parameter] = &[path("id", "The friend, as in the body.", Takes::Type("friend_id"))];
const SLUG: &[Parameter] = &[path("slug", "The slug, as in the body.", Takes::Type("slug"))];
const PAGE: &[Parameter] = &[
    query("state", "Only jobs in this state.", Takes::Type("job_state")),
    query("limit", "Jobs of a page.", Takes::Number { least: 1, most: 200, default: 50 }),
    query("after", "The `after` of the page before.", Takes::Type("job_id")),
];
const LISTING: &[Parameter] = &[
    query("community", "Friends of this community; without it of the partner's own.", Takes::Type("slug")),
    query(
        "near",
        "Latitude and longitude in degrees, as in `52.52,13.40`: tells how far each is.",
        Takes::Text { most: 64 },
    ),
    query("skill", "Only friends with this skill.", Takes::Type("slug")),
    query("limit", "Friends of a page.", Takes::Number { least: 1, most: 200, default: 50 }),
    query("after", "The `after` of the page before.", Takes::Text { most: 64 }),
];
const AUDIT: &[Parameter] = &[
    query("kind", "Only what was done to things of this kind.", Takes::Type("subject_kind")),
    query("subject", "Only what was done to this: an id or a slug.", Takes::Text { most: 200 }),
    query("actor", "Only what this one did.", Takes::Text { most: 100 }),
    query("action", "Only this.", Takes::Text { most: 100 }),
    query("limit", "Entries of a page.", Takes::Number { least: 1, most: 200, default: 50 }),
    query("after", "The `after` of the page before.", Takes::Text { most: 20 }),
];
const THEIR_ID: &[Parameter] = &[path("id", "The friend.", Takes::Type("friend_id"))];
const DOCUMENT_SLUG: &[Parameter] = &[path("slug", "The slug.", Takes::Type("slug"))];
const VERSION: &[Parameter] = &[query(
    "version",
    "An older version; the newest without it.",
    Takes::Number { least: 1, most: u32::MAX, default: 1 },
)];
const OF_COMMUNITY: &[Parameter] = &[query("community", "Only of this community.", Takes::Type("slug"))];
const FRIENDS: &[Parameter] = &[
    query("account", "Only accounts in this state, such as `applied`.", Takes::Text { most: 20 }),
    query("community", "Only friends of this community.", Takes::Type("slug")),
    query("limit", "Friends of a page.", Takes::Number { least: 1, most: 200, default: 50 }),
    query("after", "The `after` of the page before.", Takes::Type("friend_id")),
];
const IF_MATCH: &[Parameter] = &[Parameter {
    name: "If-Match",
    place: "header",
    about: "The version that is to be replaced, as the `ETag` of a look gave it: `\"3\"`. If another stands by now, nothing is \
        stored and the answer is `version_conflict`.",
    required: false,
    takes: Takes::Ascii { most: 20 },
}];
const VERBOSE: &[Parameter] = &[query("verbose", "Also what it hangs on.", Takes::Flag)];
const DESK: &[Parameter] = &[
    query("state", "Only jobs in this state.", Takes::Type("job_state")),
    query("community", "Only those of this community.", Takes::Type("slug")),
    query("partner_ref", "Only those with this reference of their partner's own.", Takes::Text { most: 100 }),
    query("friend", "Only those that this friend was offered or given.", Takes::Type("friend_id")),
    query("postcode", "Only those at this postcode.", Takes::Text { most: 12 }),
    query(
        "q",
        "Only those of a customer whose name or phone number has this in it, at least 3 characters. Takes the role \
            `dispatcher` and a `reason`.",
        Takes::Text { most: 100 },
    ),
    query(
        "reason",
        "Why a person is looked for; it is kept in the audit log, and `q` is not.",
        Takes::Text { most: 300 },
    ),
    query("limit", "Jobs of a page.", Takes::Number { least: 1, most: 200, default: 50 }),
    query("after", "The `after` of the page before.", Takes::Type("job_id")),
];
const IDEMPOTENCY_KEY: &[Parameter] = &[Parameter {
    name: "Idempotency-Key",
    place: "header",
    about: "A key of the partner's own. The same key with the same bytes gets the first answer again for seven days; \
        with another body `key_reused`; while the first is being answered `key_in_flight`.",
    required: false,
    takes: Takes::Ascii { most: 255 },
}];

const HANDSHAKE: &[Parameter] = &[
    upgrade("Connection", "Of RFC 6455.", Takes::Word("upgrade")),
    upgrade("Upgrade", "Of RFC 6455.", Takes::Word("websocket")),
    upgrade("Sec-WebSocket-Version", "Of RFC 6455.", Takes::Word("13")),
    upgrade("Sec-WebSocket-Key", "Of RFC 6455: 16 random bytes in base64.", Takes::Ascii { most: 24 }),
];
const SUBPROTOCOL: &[Parameter] =
    &[upgrade("Sec-WebSocket-Protocol", "Names the version of the wire.", Takes::Word(crate::FRIEND_SUBPROTOCOL))];

const fn path(name: &'static str, about: &'static str, takes: Takes) -> Parameter {
    Parameter { name, place: "path", about, required: true, takes }
}

const fn query(name: &'static str, about: &'static str, takes: Takes) -> Parameter {
    Parameter { name, place: "query", about, required: false, takes }
}

const fn upgrade(name: &'static str, about: &'static str, takes: Takes) -> Parameter {
    Parameter { name, place: "header", about, required: true, takes }
}

const fn body(message: &'static str, examples: &'static [&'static str]) -> Option<Body> {
    Some(Body { message, examples, required: true, lines: false })
}

const fn answer(status: u16, about: &'static str, content: Content) -> Answer {
    Answer { status, about, content, headers: &[] }
}

const JOB: Content = Content::Json("job_view", &["job_view"]);
const TAKEN: &[Answer] = &[answer(
    200,
    "Taken. The answer counts what was taken in, by kind.",
    Content::Json("import_report", &["import_report"]),
)];
const STEERED: &[Answer] = &[answer(200, "The job after it.", JOB)];
const LOOKED: &[Answer] = &[answer(200, "What was asked for.", Content::Json("desk_look", &["desk_look"]))];
const STEER: &[&[Code]] = &[ROLE, OF_JOB, BODY, CHANGE, &[Code::Unavailable]];

/// An action of ops on a job, with its reason.
const fn steer(path: &'static str, name: &'static str, does: &'static str, about: &'static str) -> Route {
    Route {
        method: "post",
        path,
        name,
        part: Part::Ops,
        does,
        about,
        who: Who::Dispatcher,
        parameters: &[JOB_ID],
        body: body("act_on_job", &["act_on_job"]),
        answers: STEERED,
        refusals: STEER,
    }
}

const UPGRADED: &[Answer] = &[answer(101, "The connection is a WebSocket now.", Content::Nothing)];
const PUBLISHED: &[Answer] = &[answer(200, "The document.", Content::Document)];

/// The routes, part by part.
pub const ROUTES: &[Route] = &[
    Route {
        method: "post",
        path: "/v1/jobs",
        name: "postJob",
        part: Part::Partners,
        does: "Posts a job",
        about: "The answer is sent after the commit. A job without a required answer is taken as `needs_info`, and \
            nobody is asked until an edit brings it. A refused post uses no idempotency key up.",
        who: Who::Partner,
        parameters: &[IDEMPOTENCY_KEY],
        body: body("post_job", &["post_job", "post_job.hourly"]),
        answers: &[Answer {
            headers: &[("Location", "The path of the job.")],
            ..answer(201, "Posted now, or before with the same idempotency key.", JOB)
        }],
        refusals: &[
            KEY,
            BODY,
            &[Code::Forbidden, Code::KeyInFlight, Code::KeyReused, Code::UnknownPackage, Code::UnknownCommunity],
            &[Code::NotOffered, Code::OutsideArea, Code::Internal],
        ],
    },
    Route {
        method: "post",
        path: "/v1/jobs/dry-run",
        name: "tryJob",
        part: Part::Partners,
        does: "Says what would become of a post at this moment",
        about: "Takes what a post takes, and counts as one for the quota. Nothing is recorded and nobody is asked. The times are \
            those of the newest jobs of the community and urgency that were won, at most 50 of them.",
        who: Who::Partner,
        parameters: &[],
        body: body("post_job", &["post_job", "post_job.hourly"]),
        answers: &[answer(200, "What would be.", Content::Json("dry_run", &["dry_run"]))],
        refusals: &[
            KEY,
            BODY,
            &[Code::Forbidden, Code::UnknownPackage, Code::UnknownCommunity, Code::NotOffered, Code::Internal],
        ],
    },
    Route {
        method: "get",
        path: "/v1/jobs",
        name: "listJobs",
        part: Part::Partners,
        does: "Lists the partner's jobs, newest first",
        about: "An unknown query parameter is refused.",
        who: Who::Partner,
        parameters: &[PAGE],
        body: None,
        answers: &[answer(200, "A page.", Content::Json("job_list", &["job_list"]))],
        refusals: &[KEY, &[Code::BadRequest, Code::NotFound, Code::Invalid]],
    },
    Route {
        method: "get",
        path: "/v1/jobs/{id}",
        name: "getJob",
        part: Part::Partners,
        does: "Looks at a job",
        about: "Another partner's job is answered like one that does not exist.",
        who: Who::Partner,
        parameters: &[JOB_ID],
        body: None,
        answers: &[answer(200, "The job.", JOB)],
        refusals: &[KEY, OF_JOB],
    },
    Route {
        method: "patch",
        path: "/v1/jobs/{id}",
        name: "editJob",
        part: Part::Partners,
        does: "Changes what it names",
        about: "Another place, another window or another answer that offers show makes a new `revision`, to which friends \
            must say yes anew. `location` and `address` come together or not at all.",
        who: Who::Partner,
        parameters: &[JOB_ID],
        body: Some(Body { message: "edit_job", examples: &["edit_job"], required: false, lines: false }),
        answers: &[answer(200, "The job after the change.", JOB)],
        refusals: &[KEY, OF_JOB, BODY, CHANGE, &[Code::OutsideArea]],
    },
    Route {
        method: "post",
        path: "/v1/jobs/{id}/answers",
        name: "answerJob",
        part: Part::Partners,
        does: "Answers what is open",
        about: "With the last required answer friends are asked. A job that is held because friends found it too vague goes \
            on with any answer. May be repeated.",
        who: Who::Partner,
        parameters: &[JOB_ID],
        body: Some(Body { message: "give_answers", examples: &["give_answers"], required: false, lines: false }),
        answers: &[answer(200, "The job after the answers.", JOB)],
        refusals: &[KEY, OF_JOB, BODY, CHANGE],
    },
    Route {
        method: "post",
        path: "/v1/jobs/{id}/cancel",
        name: "cancelJob",
        part: Part::Partners,
        does: "Cancels before the work begins",
        about: "May be repeated: cancelled is cancelled.",
        who: Who::Partner,
        parameters: &[JOB_ID],
        body: Some(Body { message: "cancel_job", examples: &["cancel_job"], required: false, lines: false }),
        answers: &[answer(200, "The job, cancelled.", JOB)],
        refusals: &[KEY, OF_JOB, BODY, CHANGE],
    },
    Route {
        method: "get",
        path: "/v1/packages",
        name: "listPackages",
        part: Part::Partners,
        does: "Lists what can be booked, with questions and prices",
        about: "",
        who: Who::Partner,
        parameters: &[],
        body: None,
        answers: &[answer(200, "All packages.", Content::Json("package_list", &["package_list"]))],
        refusals: &[KEY],
    },
    Route {
        method: "get",
        path: "/v1/friends",
        name: "listListedFriends",
        part: Part::Partners,
        does: "Lists friends who chose to be found",
        about: "Cards, by bands of distance and within a band in an order that says nothing. First name and initial, no position, \
            no contact data. The bands are measured between neighbourhoods of about 36 km², so that no number of questions finds \
            a door. As `friend` of a post an id makes the job a direct one. An unknown query parameter is refused.",
        who: Who::Partner,
        parameters: &[LISTING],
        body: None,
        answers: &[answer(200, "A page.", Content::Json("listing", &["listing"]))],
        refusals: &[KEY, &[Code::BadRequest, Code::Invalid, Code::UnknownCommunity, Code::NotOffered, Code::Forbidden]],
    },
    Route {
        method: "post",
        path: "/v1/ops/jobs",
        name: "postJobForPartner",
        part: Part::Ops,
        does: "Posts a job in a partner's name",
        about: "As `postJob`, without the quota of the partner's keys. The idempotency keys of ops and of the partner are \
            different ones, even with the same letters.",
        who: Who::Dispatcher,
        parameters: &[IDEMPOTENCY_KEY],
        body: body("post_for_partner", &["post_for_partner"]),
        answers: &[Answer {
            headers: &[("Location", "The path of the job.")],
            ..answer(201, "Posted now, or before with the same idempotency key.", JOB)
        }],
        refusals: &[
            ROLE,
            BODY,
            &[Code::KeyInFlight, Code::KeyReused, Code::UnknownPackage, Code::UnknownCommunity],
            &[Code::NotOffered, Code::OutsideArea, Code::Internal, Code::Unavailable],
        ],
    },
    Route {
        method: "get",
        path: "/v1/ops/jobs",
        name: "listJobsForOps",
        part: Part::Ops,
        does: "Lists jobs of all partners, newest first",
        about: "No street, name or phone of a customer. Looking for one by name or phone is an entry of the audit log before \
            anything is shown. An unknown query parameter is refused.",
        who: Who::Viewer,
        parameters: &[DESK],
        body: None,
        answers: &[answer(200, "A page.", Content::Json("desk_list", &["desk_list"]))],
        refusals: &[ROLE, &[Code::BadRequest, Code::Invalid, Code::Unavailable]],
    },
    Route {
        method: "get",
        path: "/v1/ops/jobs/{id}",
        name: "getJobForOps",
        part: Part::Ops,
        does: "Looks at a job with all that became of it",
        about: "Events, runs, offers, and each choice of friends: who was seen, which gate kept them or which rank they had, and \
            the terms. No street, name or phone of the customer, no exact place.",
        who: Who::Viewer,
        parameters: &[JOB_ID],
        body: None,
        answers: &[answer(200, "The job.", Content::Json("desk_job", &["desk_job"]))],
        refusals: &[ROLE, OF_JOB, &[Code::Unavailable]],
    },
    Route {
        answers: LOOKED,
        ..steer(
            "/v1/ops/jobs/{id}/look",
            "lookAtJob",
            "Shows the exact place and the customer of a job",
            "Who looked and why is an entry of the audit log before anything is shown.",
        )
    },
    steer(
        "/v1/ops/jobs/{id}/pause",
        "pauseJob",
        "Holds a job",
        "From `dispatching` and `unfilled`. Its offers are taken \
        back; who has said yes before goes first. Ops hear of it again after a day.",
    ),
    steer(
        "/v1/ops/jobs/{id}/resume",
        "resumeJob",
        "Lets a held job go on",
        "From `paused`: friends are asked anew, in a \
        run of its own.",
    ),
    Route {
        body: body("assign_job", &["assign_job"]),
        refusals: &[ROLE, OF_JOB, BODY, CHANGE, &[Code::NotSuitable, Code::Unavailable]],
        ..steer(
            "/v1/ops/jobs/{id}/assign",
            "assignJob",
            "Gives a job to a friend",
            "From `dispatching`, `unfilled` and \
            `paused`. Gates are overridden, but for an active account, a free place, the friend's own caps and agreed \
            appointments, and that nobody gets a job which they declined or handed back: `not_suitable`. The friend gets \
            the card at once and may hand the job back.",
        )
    },
    steer(
        "/v1/ops/jobs/{id}/redispatch",
        "redispatchJob",
        "Asks friends anew",
        "From `unfilled` and `unsuccessful`: a new \
        attempt, from the nearest on. Who declined or handed the job back is not asked.",
    ),
    steer(
        "/v1/ops/jobs/{id}/cancel",
        "cancelJobForPartner",
        "Cancels before the work begins",
        "May be repeated: cancelled \
        is cancelled.",
    ),
    Route {
        method: "get",
        path: "/v1/customer/{token}",
        name: "customerJob",
        part: Part::Customers,
        does: "Looks at the job",
        about: "A link that is none, is another job's or has ended is answered like a job that does not exist. The same for every route of a link. With `Accept: text/html` the same in words, for the customer's page.",
        who: Who::Anybody,
        parameters: &[LINK],
        body: None,
        answers: &[answer(
            200,
            "The job, as its customer may see it.",
            Content::Json("customer_view", &["customer_view"]),
        )],
        refusals: &[OF_LINK],
    },
    Route {
        method: "post",
        path: "/v1/customer/{token}/answers",
        name: "answerQuestions",
        part: Part::Customers,
        does: "Answers what is open",
        about: "The package's questions, and those of friends. With the last required answer friends are asked; a job that is held because friends found it too vague goes on with any answer.",
        who: Who::Anybody,
        parameters: &[LINK],
        body: Some(Body { message: "give_answers", examples: &["give_answers"], required: false, lines: false }),
        answers: &[answer(200, "The job after the answers.", Content::Json("customer_view", &["customer_view"]))],
        refusals: &[OF_LINK, BODY, CHANGE],
    },
    Route {
        method: "post",
        path: "/v1/customer/{token}/proposals/{id}/confirm",
        name: "confirmProposal",
        part: Part::Customers,
        does: "Agrees to a time that a friend proposes",
        about: "While nobody has accepted: then the job is assigned, and the time is set. May be repeated.",
        who: Who::Anybody,
        parameters: &[LINK, PROPOSAL_ID],
        body: Some(Body {
            message: "confirm_proposal",
            examples: &["confirm_proposal"],
            required: false,
            lines: false,
        }),
        answers: &[answer(200, "The job, assigned.", Content::Json("customer_view", &["customer_view"]))],
        refusals: &[OF_LINK, BODY, CHANGE],
    },
    Route {
        method: "get",
        path: "/v1/customer/{token}/messages",
        name: "readMessages",
        part: Part::Customers,
        does: "What customer and friend have written",
        about: "",
        who: Who::Anybody,
        parameters: &[LINK],
        body: None,
        answers: &[answer(200, "All of it.", Content::Json("message_list", &["message_list"]))],
        refusals: &[OF_LINK],
    },
    Route {
        method: "post",
        path: "/v1/customer/{token}/messages",
        name: "writeMessage",
        part: Part::Customers,
        does: "Writes to the friend",
        about: "To the friend who holds the job, or whom the customer has named; before the win without contact data.",
        who: Who::Anybody,
        parameters: &[LINK],
        body: body("post_message", &["post_message"]),
        answers: &[answer(200, "All messages, this one too.", Content::Json("message_list", &["message_list"]))],
        refusals: &[OF_LINK, BODY, CHANGE],
    },
    Route {
        method: "post",
        path: "/v1/customer/{token}/cancel",
        name: "cancelByCustomer",
        part: Part::Customers,
        does: "Cancels before the work begins",
        about: "May be repeated: cancelled is cancelled.",
        who: Who::Anybody,
        parameters: &[LINK],
        body: Some(Body { message: "cancel_job", examples: &["cancel_job"], required: false, lines: false }),
        answers: &[answer(200, "The job, cancelled.", Content::Json("customer_view", &["customer_view"]))],
        refusals: &[OF_LINK, BODY, CHANGE],
    },
    Route {
        method: "put",
        path: "/v1/admin/communities/{slug}",
        name: "putCommunity",
        part: Part::Admin,
        does: "Stores a community",
        about: "A changed document is a new version; jobs keep the version they were posted under.",
        who: Who::Admin,
        parameters: &[SLUG, IF_MATCH],
        body: body("community", &["community", "community.area"]),
        answers: TAKEN,
        refusals: DOCUMENT,
    },
    Route {
        method: "put",
        path: "/v1/admin/packages/{slug}",
        name: "putPackage",
        part: Part::Admin,
        does: "Stores a package",
        about: "A changed document is a new version; jobs keep the version they were posted under.",
        who: Who::Admin,
        parameters: &[SLUG, IF_MATCH],
        body: body("package", &["package", "package.remote"]),
        answers: TAKEN,
        refusals: DOCUMENT,
    },
    Route {
        method: "put",
        path: "/v1/admin/partners/{slug}",
        name: "putPartner",
        part: Part::Admin,
        does: "Stores a partner",
        about: "",
        who: Who::Admin,
        parameters: &[SLUG, IF_MATCH],
        body: body("partner", &["partner"]),
        answers: TAKEN,
        refusals: DOCUMENT,
    },
    Route {
        method: "put",
        path: "/v1/admin/friends/{id}",
        name: "putFriend",
        part: Part::Admin,
        does: "Stores a friend's profile",
        about: "",
        who: Who::Admin,
        parameters: &[FRIEND_ID, IF_MATCH],
        body: body("friend", &["friend"]),
        answers: TAKEN,
        refusals: DOCUMENT,
    },
    Route {
        method: "get",
        path: "/v1/admin/communities/{slug}",
        name: "getCommunity",
        part: Part::Admin,
        does: "Looks at a community",
        about: "The newest version, or the one that is named.",
        who: Who::Admin,
        parameters: &[DOCUMENT_SLUG, VERSION],
        body: None,
        answers: &[Answer {
            headers: &[("ETag", "The version, for `If-Match`.")],
            ..answer(200, "The document, as it was put.", Content::Document)
        }],
        refusals: LOOK,
    },
    Route {
        method: "get",
        path: "/v1/admin/communities/{slug}/versions",
        name: "listCommunityVersions",
        part: Part::Admin,
        does: "Lists the versions of a community",
        about: "Newest first. Jobs keep the version they were posted under.",
        who: Who::Admin,
        parameters: &[DOCUMENT_SLUG],
        body: None,
        answers: &[answer(200, "The versions.", Content::Json("version_list", &["version_list"]))],
        refusals: LOOK,
    },
    Route {
        method: "get",
        path: "/v1/admin/packages/{slug}",
        name: "getPackage",
        part: Part::Admin,
        does: "Looks at a package",
        about: "The newest version, or the one that is named.",
        who: Who::Admin,
        parameters: &[DOCUMENT_SLUG, VERSION],
        body: None,
        answers: &[Answer {
            headers: &[("ETag", "The version, for `If-Match`.")],
            ..answer(200, "The document, as it was put.", Content::Document)
        }],
        refusals: LOOK,
    },
    Route {
        method: "get",
        path: "/v1/admin/packages/{slug}/versions",
        name: "listPackageVersions",
        part: Part::Admin,
        does: "Lists the versions of a package",
        about: "Newest first. Jobs keep the version they were posted under.",
        who: Who::Admin,
        parameters: &[DOCUMENT_SLUG],
        body: None,
        answers: &[answer(200, "The versions.", Content::Json("version_list", &["version_list"]))],
        refusals: LOOK,
    },
    Route {
        method: "get",
        path: "/v1/admin/partners/{slug}",
        name: "getPartner",
        part: Part::Admin,
        does: "Looks at a partner",
        about: "The newest version, or the one that is named.",
        who: Who::Admin,
        parameters: &[DOCUMENT_SLUG, VERSION],
        body: None,
        answers: &[Answer {
            headers: &[("ETag", "The version, for `If-Match`.")],
            ..answer(200, "The document, as it was put.", Content::Document)
        }],
        refusals: LOOK,
    },
    Route {
        method: "get",
        path: "/v1/admin/partners/{slug}/versions",
        name: "listPartnerVersions",
        part: Part::Admin,
        does: "Lists the versions of a partner",
        about: "Newest first. Jobs keep the version they were posted under.",
        who: Who::Admin,
        parameters: &[DOCUMENT_SLUG],
        body: None,
        answers: &[answer(200, "The versions.", Content::Json("version_list", &["version_list"]))],
        refusals: LOOK,
    },
    Route {
        method: "get",
        path: "/v1/admin/friends/{id}",
        name: "getFriend",
        part: Part::Admin,
        does: "Looks at a friend's profile",
        about: "The whole of it, anchors and numbers included.",
        who: Who::Admin,
        parameters: &[THEIR_ID],
        body: None,
        answers: &[Answer {
            headers: &[("ETag", "The version, for `If-Match`.")],
            ..answer(200, "The document, as it was put.", Content::Document)
        }],
        refusals: LOOK,
    },
    Route {
        method: "post",
        path: "/v1/admin/friends",
        name: "applyFriend",
        part: Part::Admin,
        does: "Takes an application",
        about: "The profile of somebody who wants to join, under an id of the caller's making. Its account is `applied`, whatever the \
            body says; checks and certificates come by `…/checks`.",
        who: Who::Admin,
        parameters: &[],
        body: body("friend", &["friend.application"]),
        answers: &[answer(201, "Taken.", Content::Json("account_view", &["account_view"]))],
        refusals: ACCOUNT,
    },
    Route {
        method: "post",
        path: "/v1/admin/friends/{id}/checks",
        name: "recordCheck",
        part: Part::Admin,
        does: "Records the result of a check",
        about: "An account moves on from `applied` to `checked`, `tested` and `active` as far as what the friend's communities ask for \
            has been passed. It never moves back by a check: a failed one ends what was passed, and the gates see to the rest.",
        who: Who::Admin,
        parameters: &[THEIR_ID],
        body: body("post_check", &["post_check"]),
        answers: &[answer(200, "Where the account stands.", Content::Json("account_view", &["account_view"]))],
        refusals: ACCOUNT,
    },
    Route {
        method: "post",
        path: "/v1/admin/import",
        name: "importDirectory",
        part: Part::Admin,
        does: "Takes in many documents, one a line",
        about: "NDJSON: each line is an `ImportLine`. All lines are taken or none, and every line that is wrong is named.",
        who: Who::Admin,
        parameters: &[],
        body: Some(Body { message: "import_line", examples: &[], required: false, lines: true }),
        answers: TAKEN,
        refusals: &[ROLE, BODY, &[Code::Unavailable]],
    },
    Route {
        method: "post",
        path: "/v1/admin/tokens",
        name: "makeToken",
        part: Part::Admin,
        does: "Makes a token for a friend or ops, or an API key for a partner",
        about: "The key of a partner is shown this once; only its hash is kept.",
        who: Who::Admin,
        parameters: &[],
        body: body("token_request", &["token_request.friend", "token_request.ops", "token_request.partner"]),
        answers: &[answer(201, "Made.", Content::Json("token_view", &["token_view"]))],
        refusals: &[ROLE, BODY, &[Code::NotFound, Code::Internal, Code::Unavailable]],
    },
    Route {
        method: "get",
        path: "/v1/ops/audit",
        name: "listAudit",
        part: Part::Ops,
        does: "Looks at the audit log, newest first",
        about: "Who did what to whom, when and why. Entries are never changed. An unknown query parameter is refused.",
        who: Who::Dispatcher,
        parameters: &[AUDIT],
        body: None,
        answers: &[answer(200, "A page.", Content::Json("audit_list", &["audit_list"]))],
        refusals: &[ROLE, &[Code::BadRequest, Code::Invalid, Code::Unavailable]],
    },
    Route {
        method: "get",
        path: "/v1/ops/friends",
        name: "listFriends",
        part: Part::Ops,
        does: "Lists friends, by id",
        about: "An unknown query parameter is refused.",
        who: Who::Dispatcher,
        parameters: &[FRIENDS],
        body: None,
        answers: &[answer(200, "A page.", Content::Json("friend_list", &["friend_list"]))],
        refusals: &[ROLE, &[Code::BadRequest, Code::Invalid, Code::Unavailable]],
    },
    Route {
        method: "get",
        path: "/v1/ops/friends/{id}",
        name: "lookAtFriend",
        part: Part::Ops,
        does: "Looks at a friend",
        about: "Profile, account, checks, load and what was done to the account; no position.",
        who: Who::Dispatcher,
        parameters: &[THEIR_ID],
        body: None,
        answers: &[answer(200, "The friend.", Content::Json("ops_friend", &["ops_friend"]))],
        refusals: &[ROLE, &[Code::BadRequest, Code::NotFound, Code::Unavailable]],
    },
    Route {
        method: "post",
        path: "/v1/ops/friends/{id}/limit",
        name: "limitFriend",
        part: Part::Ops,
        does: "Limits an account",
        about: "From `active`. Nothing new is offered, what is held may be finished; the friend is told, with the reason.",
        who: Who::Dispatcher,
        parameters: &[THEIR_ID],
        body: body("because", &["because"]),
        answers: &[answer(200, "Where the account stands.", Content::Json("account_view", &["account_view"]))],
        refusals: ACCOUNT,
    },
    Route {
        method: "post",
        path: "/v1/ops/friends/{id}/suspend",
        name: "suspendFriend",
        part: Part::Ops,
        does: "Suspends an account",
        about: "From `active` or `limited`. The friend may not connect; a live session ends with 4507.",
        who: Who::Dispatcher,
        parameters: &[THEIR_ID],
        body: body("because", &["because"]),
        answers: &[answer(200, "Where the account stands.", Content::Json("account_view", &["account_view"]))],
        refusals: ACCOUNT,
    },
    Route {
        method: "post",
        path: "/v1/ops/friends/{id}/reinstate",
        name: "reinstateFriend",
        part: Part::Ops,
        does: "Makes an account active again",
        about: "From `limited` or `suspended`.",
        who: Who::Dispatcher,
        parameters: &[THEIR_ID],
        body: body("because", &["because"]),
        answers: &[answer(200, "Where the account stands.", Content::Json("account_view", &["account_view"]))],
        refusals: ACCOUNT,
    },
    Route {
        method: "post",
        path: "/v1/ops/friends/{id}/leave",
        name: "leaveFriend",
        part: Part::Ops,
        does: "Ends an account",
        about: "From any state but `left`: somebody leaves, or is not taken. A live session ends with 4507.",
        who: Who::Dispatcher,
        parameters: &[THEIR_ID],
        body: body("because", &["because"]),
        answers: &[answer(200, "Where the account stands.", Content::Json("account_view", &["account_view"]))],
        refusals: ACCOUNT,
    },
    Route {
        method: "get",
        path: "/v1/ops/waitlist",
        name: "listWaitlist",
        part: Part::Ops,
        does: "Where jobs were wanted outside of the areas",
        about: "Counted by cell; nobody is named.",
        who: Who::Dispatcher,
        parameters: &[OF_COMMUNITY],
        body: None,
        answers: &[answer(200, "The cells.", Content::Json("waitlist", &["waitlist"]))],
        refusals: &[ROLE, &[Code::BadRequest, Code::Invalid, Code::Unavailable]],
    },
    Route {
        method: "post",
        path: "/v1/ops/communities/{slug}/brake",
        name: "setBrake",
        part: Part::Ops,
        does: "Sets or releases the brake of a community",
        about: "At once, for open jobs too, and for good: a restart keeps it.",
        who: Who::Dispatcher,
        parameters: &[DOCUMENT_SLUG],
        body: body("set_brake", &["set_brake"]),
        answers: &[answer(200, "Where the brake stands.", Content::Json("brake_view", &["brake_view"]))],
        refusals: &[ROLE, BODY, &[Code::NotFound, Code::Unavailable]],
    },
    Route {
        method: "get",
        path: "/v1/friend",
        name: "openFriendSocket",
        part: Part::Sockets,
        does: "Opens a friend's socket",
        about: "A WebSocket upgrade, version 13, with the subprotocol `kiez.v1`. The first frame is `hello` with the \
            friend's token; tokens never travel in the URL.",
        who: Who::Anybody,
        parameters: &[HANDSHAKE, SUBPROTOCOL],
        body: None,
        answers: UPGRADED,
        refusals: UPGRADE,
    },
    Route {
        method: "get",
        path: "/v1/ops/feed",
        name: "openOpsFeed",
        part: Part::Sockets,
        does: "Opens the feed of the live map",
        about: "A WebSocket upgrade, version 13. The first frame is `subscribe` with an ops token. A page of a \
            browser may open it from the feed's own host, or from an origin in `ops.origins`.",
        who: Who::Anybody,
        parameters: &[HANDSHAKE],
        body: None,
        answers: UPGRADED,
        refusals: &[&[Code::BadRequest, Code::Forbidden, Code::Unavailable]],
    },
    Route {
        method: "get",
        path: "/ops",
        name: "openMap",
        part: Part::Pages,
        does: "The live map",
        about: "A page without secrets. It takes its token from the fragment of its address, which no server sees.",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: &[answer(200, "The page.", Content::Text("text/html; charset=utf-8"))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/customer",
        name: "openCustomerPage",
        part: Part::Pages,
        does: "The customer's page",
        about: "Where a job's `customer_url` leads: what the customer may see and do, in their language. The token is in the fragment of the address, which no server sees.",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: &[answer(200, "The page.", Content::Text("text/html; charset=utf-8"))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/customer/page.css",
        name: "getCustomerPageStyle",
        part: Part::Pages,
        does: "How the customer's page looks",
        about: "",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: &[answer(200, "The style.", Content::Text("text/css; charset=utf-8"))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/customer/page.js",
        name: "getCustomerPageScript",
        part: Part::Pages,
        does: "What the customer's page does",
        about: "",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: &[answer(200, "The script.", Content::Text("text/javascript; charset=utf-8"))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/openapi.json",
        name: "getOpenapi",
        part: Part::Pages,
        does: "This document",
        about: "OpenAPI 3.1. `kiez openapi` prints the same.",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: PUBLISHED,
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/asyncapi.json",
        name: "getAsyncapi",
        part: Part::Pages,
        does: "The sockets, frame by frame",
        about: "AsyncAPI 3. `kiez asyncapi` prints the same.",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: PUBLISHED,
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/livez",
        name: "isAlive",
        part: Part::Health,
        does: "Is it alive?",
        about: "On both listeners.",
        who: Who::Anybody,
        parameters: &[],
        body: None,
        answers: &[
            answer(200, "It is.", Content::Json("liveness", &["liveness"])),
            answer(
                503,
                "Its loop has not turned for ten seconds: end it and start another.",
                Content::Json("liveness", &[]),
            ),
        ],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/readyz",
        name: "isReady",
        part: Part::Health,
        does: "Does it take work?",
        about: "On both listeners.",
        who: Who::Anybody,
        parameters: &[VERBOSE],
        body: None,
        answers: &[
            answer(200, "It does.", Content::Json("readiness", &["readiness", "readiness.verbose"])),
            answer(
                503,
                "It goes down, its ledger is away, or it stands by for another.",
                Content::Json("readiness", &[]),
            ),
        ],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/metrics",
        name: "getMetrics",
        part: Part::Health,
        does: "The meters",
        about: "In the text format of Prometheus, on the operator's listener only.",
        who: Who::Operator,
        parameters: &[],
        body: None,
        answers: &[answer(200, "The meters.", Content::Text("text/plain; version=0.0.4; charset=utf-8"))],
        refusals: &[],
    },
];
