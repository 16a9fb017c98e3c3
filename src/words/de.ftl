# Was Menschen lesen, auf Deutsch. en.ftl sagt, wie die Kataloge gebaut sind.

## Refusals, by their code

problem-bad_request = Die Anfrage ist nicht wohlgeformt
problem-unauthorized = Die Zugangsdaten fehlen oder gelten nicht
problem-forbidden = Die Zugangsdaten erlauben das nicht
problem-not_found = Das gibt es nicht
problem-method_not_allowed = Diese Adresse nimmt diese Methode nicht an
problem-request_timeout = Die Anfrage kam nicht rechtzeitig an
problem-key_in_flight = Eine Anfrage mit diesem Schlüssel ist unterwegs
problem-wrong_state = Der Stand des Auftrags erlaubt das nicht
problem-not_suitable = Dieser Friend kann diesen Auftrag nicht haben
problem-needs_reconfirm = Der Auftrag hat sich geändert
problem-version_conflict = Inzwischen gilt eine andere Fassung
problem-too_large = Der Inhalt ist zu groß
problem-key_reused = Dieser Schlüssel wurde für eine andere Anfrage benutzt
problem-invalid = Ein Wert liegt außerhalb seiner Grenzen
problem-unknown_package = Dieses Paket gibt es nicht
problem-unknown_community = Diese Community gibt es nicht
problem-not_offered = Das Paket wird dort nicht angeboten
problem-outside_area = Die Community bedient diesen Ort nicht
problem-unknown_type = Diese Art von Nachricht ist nicht bekannt
problem-too_many = Zu viele Anfragen
problem-internal = Im Server ist etwas fehlgeschlagen
problem-unavailable = Der Server kann das gerade nicht annehmen

## Refusals to friends, by their message key

error-bad_token = Bitte melde dich neu an.
error-fix_off_earth = Diese Position liegt nirgends auf der Erde.
error-hello_twice = Die App hat sich zweimal vorgestellt.
error-job_not_found = Dieser Auftrag ist nicht deiner oder vorbei.
error-missed_not_found = Diesen Auftrag gibt es nicht, oder es ist zu lange her.
error-offer_not_found = Dieses Angebot ist nicht deines oder vorbei.
error-questions_used_up = Für diesen Auftrag sind alle Fragen gestellt.
error-reason_too_long = Die Begründung ist zu lang.
error-refused = Das ist nicht möglich.
error-text_length = Der Text ist leer oder zu lang.
error-too_many = Zu viel auf einmal. Bitte warte einen Augenblick.
error-try_again = Das hat gerade nicht geklappt. Bitte versuch es noch einmal.
error-unfit_field = Etwas darin passt nicht.
error-unknown_type = Die App fragt nach etwas, das der Server nicht kennt.
error-until_is_past = Dieser Zeitpunkt ist vorbei.
error-windows = Diese Zeiten sind nicht möglich.
error-wrong_state = Der Auftrag erlaubt das jetzt nicht.

## Why a friend was not asked, by the message key

why_not-active = Dein Konto ist nicht aktiv.
why_not-on_duty = Du warst nicht im Dienst.
why_not-reachable = Deine App war nicht verbunden.
why_not-community = Du gehörst nicht zur Community dieses Auftrags.
why_not-country = Der Auftrag liegt in einem anderen Land als du.
why_not-tier = Der Auftrag war für Profis.
why_not-skill = Der Auftrag braucht eine Fähigkeit oder Stufe, die du nicht hast.
why_not-certificate = Der Auftrag braucht ein Zertifikat, das du nicht hast oder das abgelaufen ist.
why_not-identity = Deine Identität ist nicht geprüft.
why_not-age = Dein Alter ist nicht geprüft oder liegt unter dem, was die Community verlangt.
why_not-insurance = Deine Versicherung ist nicht geprüft oder abgelaufen.
why_not-knowledge = Du hast den Wissenstest nicht bestanden.
why_not-partner_customer = Der Auftrag war nur für Kundinnen und Kunden dieses Partners.
why_not-language = Du sprichst die Sprache der Kundin oder des Kunden nicht.
why_not-rate = Dein Stundensatz liegt über dem, was bezahlt werden soll.
why_not-distance = Der Auftrag war zu weit von dir weg.
why_not-overlap = Du hast um diese Zeit einen Termin.
why_not-capacity = Du hattest so viele Aufträge, wie du haben darfst.
why_not-caps = Der Auftrag hätte dich über eine deiner Grenzen gehoben.
why_not-blocked = Du hattest diesen Auftrag abgelehnt oder zurückgegeben, oder du hast ihn selbst gebucht.
why_not-cool_down = Nach einem versäumten Anruf gibt es eine Pause vor dem nächsten Auftrag.
why_not-full_hand = Du hattest drei offene Angebote.
why_not-rank = Andere waren näher.
why_not-beyond = Der Auftrag ging an Friends in der Nähe, bevor er bis zu dir kam.

## A job's state, as its customer reads it

state-needs_info = Wir brauchen noch etwas von Ihnen.
state-dispatching = Wir fragen Friends in Ihrer Nähe.
state-paused = Bevor wir weiterfragen, müssen wir mehr wissen.
state-unfilled = Bisher hatte niemand Zeit. Wir suchen weiter.
state-assigned = Jemand hat zugesagt und ruft Sie an.
state-contacted = Sie haben miteinander gesprochen.
state-appointed = Der Termin ist vereinbart.
state-on_the_way = Ihr Friend ist unterwegs.
state-in_progress = Ihr Friend ist bei der Arbeit.
state-done = Ihr Friend sagt, dass es erledigt ist.
state-unsuccessful = Es konnte nicht erledigt werden.
state-confirmed = Es ist erledigt.
state-disputed = Sie haben widersprochen. Wir gehen dem nach.
state-refunded = Sie haben Ihr Geld zurückbekommen.
state-cancelled = Die Buchung ist storniert.
state-expired = Es hat sich rechtzeitig niemand gefunden.
state-closed = Die Buchung ist abgeschlossen.

## Questions that the server asks itself

question-too_vague = Den Friends war die Beschreibung zu ungenau. Was genau ist zu tun, und mit welchem Gerät?

## The customer's page

page-heading = Ihre Buchung bei { $brand }
page-loading = Einen Augenblick …
page-no_link = Dieser Link führt nirgendwohin oder nicht mehr. Bitte fragen Sie dort nach, wo Sie gebucht haben.
page-no_script = Diese Seite braucht JavaScript.
page-offline = Es gibt keine Verbindung. Wir versuchen es weiter.
page-what = Gebucht
page-price = Preis
page-price_by_rate = Nach Stunden. Der Satz steht fest, sobald jemand zugesagt hat.
page-windows = Sie haben Zeit
page-appointment = Termin
page-friend = Wer kommt
page-contract_open = Ihr Vertrag kommt mit dem Friend zustande, der zusagt. { $brand } bringt Sie zusammen.
page-contract = Ihr Vertrag besteht mit { $friend }. { $brand } hat Sie zusammengebracht.
page-booked = Gebucht am { $when }
page-until = Wir suchen bis { $when }.
page-questions = Zu Ihrer Buchung
page-required = nötig, bevor wir jemanden fragen können
page-yes = Ja
page-no = Nein
page-send = Senden
page-asked = Fragen an Sie
page-reply = Ihre Antwort
page-proposals = Vorgeschlagene Zeiten
page-proposals_text = Ein Friend schlägt vor:
page-take = Diese Zeit nehmen
page-take_until = Offen bis { $when }, wenn nicht vorher jemand anderes zusagt.
page-messages = Nachrichten
page-message = Ihre Nachricht
page-from_you = Sie
page-from_friend = { $friend }
page-filtered = Telefonnummern und Adressen werden entfernt, bis jemand zugesagt hat.
page-cancel = Buchung stornieren
page-cancel_reason = Grund (wenn Sie mögen)
page-cancel_now = Jetzt stornieren
page-questions_open = { $count ->
    [one] Eine Antwort fehlt noch.
   *[other] { $count } Antworten fehlen noch.
}
page-saved = Danke, es ist gespeichert.

## Days and hours

weekday-1 = Montag
weekday-2 = Dienstag
weekday-3 = Mittwoch
weekday-4 = Donnerstag
weekday-5 = Freitag
weekday-6 = Samstag
weekday-7 = Sonntag
month-1 = Januar
month-2 = Februar
month-3 = März
month-4 = April
month-5 = Mai
month-6 = Juni
month-7 = Juli
month-8 = August
month-9 = September
month-10 = Oktober
month-11 = November
month-12 = Dezember
time-day = { $weekday }, { $day }. { $month }
time-moment = { $date }, { $clock } Uhr
time-span = { $date }, { $start } bis { $end } Uhr
time-long_span = { $start } bis { $end }
