# What people read, in English. Every catalogue has the same phrases with the same placeholders; build.rs holds them to it.
# A phrase whose id begins with one of the groups that build.rs lists is found by its name on the wire (`problem-` and a
# refusal's code, `state-` and a job's state …); each other one is a function that takes its placeholders.

## Refusals, by their code

problem-bad_request = The request is not well formed
problem-unauthorized = The credentials are missing or not valid
problem-forbidden = The credentials do not allow this
problem-not_found = There is no such thing
problem-method_not_allowed = This route does not take this method
problem-request_timeout = The request did not arrive in time
problem-key_in_flight = A request with this key is in flight
problem-wrong_state = The job's state does not allow this
problem-not_suitable = The friend cannot have this job
problem-needs_reconfirm = The job has changed
problem-version_conflict = Another version stands by now
problem-too_large = The body is too large
problem-key_reused = This key was used for another request
problem-invalid = A value is out of range
problem-unknown_package = There is no such package
problem-unknown_community = There is no such community
problem-not_offered = The package is not offered there
problem-outside_area = The community does not serve this place
problem-unknown_type = The frame's type is not known
problem-too_many = Too many requests
problem-internal = The server failed
problem-unavailable = The server cannot take this now

## Refusals to friends, by their message key

error-bad_token = Please sign in again.
error-fix_off_earth = This position is nowhere on earth.
error-hello_twice = The app has introduced itself twice.
error-job_not_found = This job is not yours, or it is over.
error-missed_not_found = There is no such job, or it was too long ago.
error-offer_not_found = This offer is not yours, or it is over.
error-questions_used_up = All questions for this job have been asked.
error-reason_too_long = The reason is too long.
error-refused = This is not possible.
error-text_length = The text is empty or too long.
error-too_many = Too much at once. Please wait a moment.
error-try_again = It did not work just now. Please try again.
error-unfit_field = Something in it does not fit.
error-unknown_type = The app asks for something that the server does not know.
error-until_is_past = This time is over.
error-windows = These times are not possible.
error-wrong_state = The job does not allow this now.

## Why a friend was not asked, by the message key

why_not-active = Your account is not active.
why_not-on_duty = You were not on duty.
why_not-reachable = Your app was not connected.
why_not-community = You do not belong to this job's community.
why_not-country = The job is in another country than yours.
why_not-tier = The job was for professionals.
why_not-skill = The job needs a skill, or a level of it, that you do not have.
why_not-certificate = The job needs a certificate that you do not have, or that has ended.
why_not-identity = Your identity has not been checked.
why_not-age = Your age has not been checked, or is below what the community asks.
why_not-insurance = Your insurance has not been checked, or has ended.
why_not-knowledge = You have not passed the knowledge test.
why_not-partner_customer = The job was for customers of this partner only.
why_not-language = You do not speak the customer's language.
why_not-rate = Your hourly rate is above what the customer wants to pay.
why_not-distance = The job was too far from you.
why_not-overlap = You have an appointment at that time.
why_not-capacity = You held as many jobs as you may.
why_not-caps = The job would have lifted you above one of your limits.
why_not-blocked = You had declined this job or given it back, or you are its customer.
why_not-cool_down = After a missed contact there is a pause before the next job.
why_not-full_hand = You had three offers open.
why_not-rank = Others were nearer.
why_not-beyond = The job went to friends nearer by before it came to you.

## A job's state, as its customer reads it

state-needs_info = We still need something from you.
state-dispatching = We are asking friends near you.
state-paused = We need to know more before we go on asking.
state-unfilled = Nobody has had time yet. We go on looking.
state-assigned = Somebody has taken it and will call you.
state-contacted = You have spoken with each other.
state-appointed = The appointment is agreed.
state-on_the_way = Your friend is on the way.
state-in_progress = Your friend is at work.
state-done = Your friend says that it is done.
state-unsuccessful = It could not be done.
state-confirmed = It is done.
state-disputed = You have objected. We are looking into it.
state-refunded = You have got your money back.
state-cancelled = The booking is cancelled.
state-expired = Nobody was found in time.
state-closed = The booking is over.

## Questions that the server asks itself

question-too_vague = Friends found the description too vague. What exactly is to be done, and with which device?

## The customer's page

page-heading = Your booking with { $brand }
page-loading = One moment …
page-no_link = This link leads nowhere, or not any more. Please ask the company with which you booked.
page-no_script = This page needs JavaScript.
page-offline = There is no connection. We keep trying.
page-what = Booked
page-price = Price
page-price_by_rate = By the hour. The rate is known once somebody has taken the job.
page-windows = You have time
page-appointment = Appointment
page-friend = Who comes
page-contract_open = Your contract will be with the friend who takes the job. { $brand } brings you together.
page-contract = Your contract is with { $friend }. { $brand } has brought you together.
page-booked = Booked on { $when }
page-until = We look for somebody until { $when }.
page-questions = About your booking
page-required = needed before we can ask anybody
page-yes = Yes
page-no = No
page-send = Send
page-asked = Questions for you
page-reply = Your answer
page-proposals = Proposed times
page-proposals_text = A friend proposes:
page-take = Take this time
page-take_until = Open until { $when }, unless somebody else says yes before.
page-messages = Messages
page-message = Your message
page-from_you = You
page-from_friend = { $friend }
page-filtered = Telephone numbers and addresses are taken out until somebody has taken the job.
page-cancel = Cancel the booking
page-cancel_reason = Reason (if you like)
page-cancel_now = Cancel now
page-questions_open = { $count ->
    [one] One answer is still missing.
   *[other] { $count } answers are still missing.
}
page-saved = Thank you, it is saved.

## Days and hours

weekday-1 = Monday
weekday-2 = Tuesday
weekday-3 = Wednesday
weekday-4 = Thursday
weekday-5 = Friday
weekday-6 = Saturday
weekday-7 = Sunday
month-1 = January
month-2 = February
month-3 = March
month-4 = April
month-5 = May
month-6 = June
month-7 = July
month-8 = August
month-9 = September
month-10 = October
month-11 = November
month-12 = December
time-day = { $weekday } { $day } { $month }
time-moment = { $date }, { $clock }
time-span = { $date }, { $start } to { $end }
time-long_span = { $start } to { $end }
