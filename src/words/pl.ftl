# To, co czytają ludzie, po polsku. en.ftl mówi, jak zbudowane są katalogi.

## Refusals, by their code

problem-bad_request = Żądanie jest niepoprawne
problem-unauthorized = Brak danych dostępu lub są nieważne
problem-forbidden = Dane dostępu na to nie pozwalają
problem-not_found = Nie ma czegoś takiego
problem-method_not_allowed = Ten adres nie przyjmuje tej metody
problem-request_timeout = Żądanie nie dotarło na czas
problem-key_in_flight = Żądanie z tym kluczem jest w toku
problem-wrong_state = Stan zlecenia na to nie pozwala
problem-not_suitable = Ten Friend nie może dostać tego zlecenia
problem-needs_reconfirm = Zlecenie się zmieniło
problem-version_conflict = Obowiązuje już inna wersja
problem-too_large = Treść jest za duża
problem-key_reused = Ten klucz został użyty do innego żądania
problem-invalid = Wartość jest poza zakresem
problem-unknown_package = Nie ma takiego pakietu
problem-unknown_community = Nie ma takiej społeczności
problem-not_offered = Pakiet nie jest tam oferowany
problem-outside_area = Społeczność nie obsługuje tego miejsca
problem-unknown_type = Nieznany rodzaj wiadomości
problem-too_many = Za dużo żądań
problem-internal = Błąd serwera
problem-unavailable = Serwer nie może tego teraz przyjąć

## Refusals to friends, by their message key

error-bad_token = Zaloguj się ponownie.
error-fix_off_earth = Takiej pozycji nie ma na Ziemi.
error-hello_twice = Aplikacja przedstawiła się dwa razy.
error-job_not_found = To zlecenie nie jest Twoje albo już się zakończyło.
error-missed_not_found = Nie ma takiego zlecenia albo było zbyt dawno.
error-offer_not_found = Ta oferta nie jest Twoja albo już się zakończyła.
error-questions_used_up = Do tego zlecenia zadano już wszystkie pytania.
error-reason_too_long = Powód jest za długi.
error-refused = To nie jest możliwe.
error-text_length = Tekst jest pusty albo za długi.
error-too_many = Za dużo naraz. Poczekaj chwilę.
error-try_again = Nie udało się. Spróbuj jeszcze raz.
error-unfit_field = Coś się tu nie zgadza.
error-unknown_type = Aplikacja prosi o coś, czego serwer nie zna.
error-until_is_past = Ten czas już minął.
error-windows = Te terminy nie są możliwe.
error-wrong_state = Zlecenie teraz na to nie pozwala.

## Why a friend was not asked, by the message key

why_not-active = Twoje konto nie jest aktywne.
why_not-on_duty = Nie było Cię na dyżurze.
why_not-reachable = Twoja aplikacja nie była połączona.
why_not-community = Nie należysz do społeczności tego zlecenia.
why_not-country = Zlecenie jest w innym kraju.
why_not-tier = Zlecenie było dla profesjonalistów.
why_not-skill = Zlecenie wymaga umiejętności lub poziomu, którego nie masz.
why_not-certificate = Zlecenie wymaga certyfikatu, którego nie masz lub który wygasł.
why_not-identity = Twoja tożsamość nie została sprawdzona.
why_not-age = Twój wiek nie został sprawdzony albo jest niższy, niż wymaga społeczność.
why_not-insurance = Twoje ubezpieczenie nie zostało sprawdzone albo wygasło.
why_not-knowledge = Test wiedzy nie jest zaliczony.
why_not-partner_customer = Zlecenie było tylko dla klientów tego partnera.
why_not-language = Nie mówisz językiem klienta.
why_not-rate = Twoja stawka godzinowa jest wyższa, niż klient chce zapłacić.
why_not-distance = Zlecenie było za daleko od Ciebie.
why_not-overlap = Masz w tym czasie inny termin.
why_not-capacity = Masz już tyle zleceń, ile możesz mieć.
why_not-caps = Zlecenie przekroczyłoby jeden z Twoich limitów.
why_not-blocked = To zlecenie zostało przez Ciebie odrzucone lub oddane, albo sam(a) je zamawiasz.
why_not-cool_down = Po braku kontaktu jest przerwa przed następnym zleceniem.
why_not-full_hand = Masz trzy otwarte oferty.
why_not-rank = Inni byli bliżej.
why_not-beyond = Zlecenie trafiło do bliższych Friends, zanim doszło do Ciebie.

## A job's state, as its customer reads it

state-needs_info = Potrzebujemy jeszcze czegoś od Państwa.
state-dispatching = Pytamy Friends w Państwa okolicy.
state-paused = Zanim zapytamy dalej, musimy wiedzieć więcej.
state-unfilled = Nikt jeszcze nie miał czasu. Szukamy dalej.
state-assigned = Ktoś przyjął zlecenie i zadzwoni do Państwa.
state-contacted = Rozmowa się odbyła.
state-appointed = Termin jest uzgodniony.
state-on_the_way = Friend jest w drodze.
state-in_progress = Friend jest przy pracy.
state-done = Friend zgłosił, że gotowe.
state-unsuccessful = Nie udało się tego zrobić.
state-confirmed = Gotowe.
state-disputed = Zgłosili Państwo sprzeciw. Sprawdzamy to.
state-refunded = Pieniądze zostały zwrócone.
state-cancelled = Rezerwacja jest anulowana.
state-expired = Nie znaleziono nikogo na czas.
state-closed = Rezerwacja jest zakończona.

## Questions that the server asks itself

question-too_vague = Dla Friends opis był zbyt ogólny. Co dokładnie trzeba zrobić i z jakim urządzeniem?

## The customer's page

page-heading = Państwa rezerwacja w { $brand }
page-loading = Chwileczkę …
page-no_link = Ten link nigdzie nie prowadzi albo już nie działa. Prosimy zapytać firmę, w której dokonano rezerwacji.
page-no_script = Ta strona potrzebuje JavaScriptu.
page-offline = Brak połączenia. Próbujemy dalej.
page-what = Zarezerwowano
page-price = Cena
page-price_by_rate = Za godzinę. Stawka będzie znana, gdy ktoś przyjmie zlecenie.
page-windows = Mają Państwo czas
page-appointment = Termin
page-friend = Kto przyjdzie
page-contract_open = Umowa zostanie zawarta z osobą, która przyjmie zlecenie. { $brand } łączy obie strony.
page-contract = Umowa jest zawarta z: { $friend }. { $brand } połączył obie strony.
page-booked = Zarezerwowano: { $when }
page-until = Szukamy do: { $when }.
page-questions = O Państwa rezerwacji
page-required = potrzebne, zanim kogoś zapytamy
page-yes = Tak
page-no = Nie
page-send = Wyślij
page-asked = Pytania do Państwa
page-reply = Odpowiedź
page-proposals = Proponowane terminy
page-proposals_text = Friend proponuje:
page-take = Wybieram ten termin
page-take_until = Otwarte do: { $when }, jeśli nikt inny nie zgłosi się wcześniej.
page-messages = Wiadomości
page-message = Wiadomość
page-from_you = Państwo
page-from_friend = { $friend }
page-filtered = Numery telefonu i adresy są usuwane, dopóki ktoś nie przyjmie zlecenia.
page-cancel = Anuluj rezerwację
page-cancel_reason = Powód (jeśli chcą Państwo podać)
page-cancel_now = Anuluj teraz
page-questions_open = { $count ->
    [one] Brakuje jeszcze jednej odpowiedzi.
    [few] Brakuje jeszcze { $count } odpowiedzi.
    [many] Brakuje jeszcze { $count } odpowiedzi.
   *[other] Brakuje jeszcze { $count } odpowiedzi.
}
page-saved = Dziękujemy, zapisano.

## Days and hours

weekday-1 = poniedziałek
weekday-2 = wtorek
weekday-3 = środa
weekday-4 = czwartek
weekday-5 = piątek
weekday-6 = sobota
weekday-7 = niedziela
month-1 = stycznia
month-2 = lutego
month-3 = marca
month-4 = kwietnia
month-5 = maja
month-6 = czerwca
month-7 = lipca
month-8 = sierpnia
month-9 = września
month-10 = października
month-11 = listopada
month-12 = grudnia
time-day = { $weekday }, { $day } { $month }
time-moment = { $date }, godz. { $clock }
time-span = { $date }, { $start }–{ $end }
time-long_span = { $start } – { $end }
