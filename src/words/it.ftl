# Ciò che le persone leggono, in italiano. en.ftl dice come sono fatti i cataloghi.

## Refusals, by their code

problem-bad_request = La richiesta non è ben formata
problem-unauthorized = Le credenziali mancano o non sono valide
problem-forbidden = Le credenziali non lo permettono
problem-not_found = Non esiste
problem-method_not_allowed = Questo indirizzo non accetta questo metodo
problem-request_timeout = La richiesta non è arrivata in tempo
problem-key_in_flight = Una richiesta con questa chiave è in corso
problem-wrong_state = Lo stato dell’incarico non lo permette
problem-not_suitable = Questo Friend non può avere questo incarico
problem-needs_reconfirm = L’incarico è cambiato
problem-version_conflict = Nel frattempo vale un’altra versione
problem-too_large = Il contenuto è troppo grande
problem-key_reused = Questa chiave è stata usata per un’altra richiesta
problem-invalid = Un valore è fuori dai limiti
problem-unknown_package = Questo pacchetto non esiste
problem-unknown_community = Questa community non esiste
problem-not_offered = Il pacchetto non è offerto lì
problem-outside_area = La community non serve questo luogo
problem-unknown_type = Questo tipo di messaggio non è conosciuto
problem-too_many = Troppe richieste
problem-internal = Il server ha avuto un guasto
problem-unavailable = Il server non può accettarlo in questo momento

## Refusals to friends, by their message key

error-bad_token = Accedi di nuovo, per favore.
error-fix_off_earth = Questa posizione non è da nessuna parte sulla terra.
error-hello_twice = L’app si è presentata due volte.
error-job_not_found = Questo incarico non è tuo o è finito.
error-missed_not_found = Questo incarico non esiste, o è passato troppo tempo.
error-offer_not_found = Questa offerta non è tua o è finita.
error-questions_used_up = Per questo incarico sono state fatte tutte le domande.
error-reason_too_long = Il motivo è troppo lungo.
error-refused = Non è possibile.
error-text_length = Il testo è vuoto o troppo lungo.
error-too_many = Troppo in una volta. Aspetta un momento, per favore.
error-try_again = Non ha funzionato. Riprova, per favore.
error-unfit_field = Qualcosa non va bene.
error-unknown_type = L’app chiede qualcosa che il server non conosce.
error-until_is_past = Questo momento è passato.
error-windows = Questi orari non sono possibili.
error-wrong_state = L’incarico ora non lo permette.

## Why a friend was not asked, by the message key

why_not-active = Il tuo account non è attivo.
why_not-on_duty = Non eri in servizio.
why_not-reachable = La tua app non era collegata.
why_not-community = Non fai parte della community di questo incarico.
why_not-country = L’incarico è in un altro paese.
why_not-tier = L’incarico era per professionisti.
why_not-skill = L’incarico richiede una competenza, o un livello, che non hai.
why_not-certificate = L’incarico richiede un certificato che non hai o che è scaduto.
why_not-identity = La tua identità non è stata verificata.
why_not-age = La tua età non è stata verificata, o è inferiore a quella che la community chiede.
why_not-insurance = La tua assicurazione non è stata verificata o è scaduta.
why_not-knowledge = Non hai superato il test di conoscenza.
why_not-partner_customer = L’incarico era solo per clienti di questo partner.
why_not-language = Non parli la lingua del cliente.
why_not-rate = La tua tariffa oraria è superiore a quanto si vuole pagare.
why_not-distance = L’incarico era troppo lontano da te.
why_not-overlap = Hai un appuntamento a quell’ora.
why_not-capacity = Avevi tanti incarichi quanti ne puoi avere.
why_not-caps = L’incarico ti avrebbe portato oltre uno dei tuoi limiti.
why_not-blocked = Avevi rifiutato o restituito questo incarico, o l’hai prenotato tu.
why_not-cool_down = Dopo una chiamata mancata c’è una pausa prima del prossimo incarico.
why_not-full_hand = Avevi tre offerte aperte.
why_not-rank = Altri erano più vicini.
why_not-beyond = L’incarico è andato a Friends più vicini prima di arrivare a te.

## A job's state, as its customer reads it

state-needs_info = Ci serve ancora qualcosa da Lei.
state-dispatching = Stiamo chiedendo ai Friends vicini a Lei.
state-paused = Prima di continuare dobbiamo sapere di più.
state-unfilled = Finora nessuno ha avuto tempo. Continuiamo a cercare.
state-assigned = Qualcuno ha accettato e La chiamerà.
state-contacted = Vi siete parlati.
state-appointed = L’appuntamento è fissato.
state-on_the_way = Il Suo Friend è in viaggio.
state-in_progress = Il Suo Friend è al lavoro.
state-done = Il Suo Friend dice che è fatto.
state-unsuccessful = Non è stato possibile farlo.
state-confirmed = È fatto.
state-disputed = Lei ha contestato. Stiamo verificando.
state-refunded = Ha ricevuto indietro il denaro.
state-cancelled = La prenotazione è annullata.
state-expired = Non si è trovato nessuno in tempo.
state-closed = La prenotazione è conclusa.

## Questions that the server asks itself

question-too_vague = Ai Friends la descrizione è sembrata troppo vaga. Che cosa c’è da fare esattamente, e con quale apparecchio?

## The customer's page

page-heading = La Sua prenotazione presso { $brand }
page-loading = Un momento …
page-no_link = Questo link non porta da nessuna parte, o non più. Chieda all’azienda presso cui ha prenotato.
page-no_script = Questa pagina ha bisogno di JavaScript.
page-offline = Non c’è connessione. Continuiamo a provare.
page-what = Prenotato
page-price = Prezzo
page-price_by_rate = A ore. La tariffa è nota appena qualcuno ha accettato.
page-windows = Lei ha tempo
page-appointment = Appuntamento
page-friend = Chi viene
page-contract_open = Il Suo contratto sarà con il Friend che accetta. { $brand } vi mette in contatto.
page-contract = Il Suo contratto è con { $friend }. { $brand } vi ha messi in contatto.
page-booked = Prenotato { $when }
page-until = Cerchiamo fino a { $when }.
page-questions = Sulla Sua prenotazione
page-required = necessario prima di poter chiedere a qualcuno
page-yes = Sì
page-no = No
page-send = Invia
page-asked = Domande per Lei
page-reply = La Sua risposta
page-proposals = Orari proposti
page-proposals_text = Un Friend propone:
page-take = Scegli questo orario
page-take_until = Aperto fino a { $when }, se prima non accetta qualcun altro.
page-messages = Messaggi
page-message = Il Suo messaggio
page-from_you = Lei
page-from_friend = { $friend }
page-filtered = Numeri di telefono e indirizzi vengono tolti finché qualcuno non ha accettato.
page-cancel = Annulla la prenotazione
page-cancel_reason = Motivo (se vuole)
page-cancel_now = Annulla ora
page-questions_open = { $count ->
    [one] Manca ancora una risposta.
   *[other] Mancano ancora { $count } risposte.
}
page-saved = Grazie, è salvato.

## Days and hours

weekday-1 = lunedì
weekday-2 = martedì
weekday-3 = mercoledì
weekday-4 = giovedì
weekday-5 = venerdì
weekday-6 = sabato
weekday-7 = domenica
month-1 = gennaio
month-2 = febbraio
month-3 = marzo
month-4 = aprile
month-5 = maggio
month-6 = giugno
month-7 = luglio
month-8 = agosto
month-9 = settembre
month-10 = ottobre
month-11 = novembre
month-12 = dicembre
time-day = { $weekday } { $day } { $month }
time-moment = { $date }, ore { $clock }
time-span = { $date }, { $start }–{ $end }
time-long_span = { $start } – { $end }
