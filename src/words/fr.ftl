# Ce que les gens lisent, en français. en.ftl dit comment les catalogues sont faits.

## Refusals, by their code

problem-bad_request = La demande est mal formée
problem-unauthorized = Les identifiants manquent ou ne sont pas valables
problem-forbidden = Les identifiants ne le permettent pas
problem-not_found = Cela n’existe pas
problem-method_not_allowed = Cette adresse n’accepte pas cette méthode
problem-request_timeout = La demande n’est pas arrivée à temps
problem-key_in_flight = Une demande avec cette clé est en cours
problem-wrong_state = L’état de la mission ne le permet pas
problem-not_suitable = Ce Friend ne peut pas avoir cette mission
problem-needs_reconfirm = La mission a changé
problem-version_conflict = Une autre version est désormais en vigueur
problem-too_large = Le contenu est trop grand
problem-key_reused = Cette clé a servi à une autre demande
problem-invalid = Une valeur est hors limites
problem-unknown_package = Ce forfait n’existe pas
problem-unknown_community = Cette communauté n’existe pas
problem-not_offered = Ce forfait n’y est pas proposé
problem-outside_area = La communauté ne dessert pas cet endroit
problem-unknown_type = Ce type de message est inconnu
problem-too_many = Trop de demandes
problem-internal = Le serveur a échoué
problem-unavailable = Le serveur ne peut pas l’accepter pour l’instant

## Refusals to friends, by their message key

error-bad_token = Veuillez vous reconnecter.
error-fix_off_earth = Cette position n’est nulle part sur terre.
error-hello_twice = L’application s’est présentée deux fois.
error-job_not_found = Cette mission n’est pas la vôtre ou elle est terminée.
error-missed_not_found = Cette mission n’existe pas, ou elle est trop ancienne.
error-offer_not_found = Cette offre n’est pas la vôtre ou elle est terminée.
error-questions_used_up = Toutes les questions sur cette mission ont été posées.
error-reason_too_long = La raison est trop longue.
error-refused = Ce n’est pas possible.
error-text_length = Le texte est vide ou trop long.
error-too_many = Trop à la fois. Veuillez patienter un instant.
error-try_again = Cela n’a pas marché. Veuillez réessayer.
error-unfit_field = Quelque chose ne convient pas.
error-unknown_type = L’application demande quelque chose que le serveur ne connaît pas.
error-until_is_past = Ce moment est passé.
error-windows = Ces horaires ne sont pas possibles.
error-wrong_state = La mission ne le permet pas maintenant.

## Why a friend was not asked, by the message key

why_not-active = Votre compte n’est pas actif.
why_not-on_duty = Vous n’étiez pas en service.
why_not-reachable = Votre application n’était pas connectée.
why_not-community = Vous ne faites pas partie de la communauté de cette mission.
why_not-country = La mission est dans un autre pays que le vôtre.
why_not-tier = La mission était réservée aux professionnels.
why_not-skill = La mission demande une compétence, ou un niveau, que vous n’avez pas.
why_not-certificate = La mission demande un certificat que vous n’avez pas ou qui a expiré.
why_not-identity = Votre identité n’a pas été vérifiée.
why_not-age = Votre âge n’a pas été vérifié, ou il est inférieur à ce que demande la communauté.
why_not-insurance = Votre assurance n’a pas été vérifiée ou a expiré.
why_not-knowledge = Vous n’avez pas réussi le test de connaissances.
why_not-partner_customer = La mission était réservée aux clients de ce partenaire.
why_not-language = Vous ne parlez pas la langue de la cliente ou du client.
why_not-rate = Votre tarif horaire dépasse ce que l’on veut payer.
why_not-distance = La mission était trop loin de vous.
why_not-overlap = Vous avez un rendez-vous à ce moment-là.
why_not-capacity = Vous aviez autant de missions que permis.
why_not-caps = La mission vous aurait fait dépasser une de vos limites.
why_not-blocked = Vous aviez refusé ou rendu cette mission, ou vous l’avez commandée vous-même.
why_not-cool_down = Après un appel manqué, il y a une pause avant la mission suivante.
why_not-full_hand = Vous aviez trois offres ouvertes.
why_not-rank = D’autres étaient plus près.
why_not-beyond = La mission est allée à des Friends plus proches avant d’arriver jusqu’à vous.

## A job's state, as its customer reads it

state-needs_info = Il nous manque encore quelque chose de votre part.
state-dispatching = Nous demandons à des Friends près de chez vous.
state-paused = Il nous faut en savoir plus avant de continuer.
state-unfilled = Personne n’a encore eu le temps. Nous continuons à chercher.
state-assigned = Quelqu’un a accepté et va vous appeler.
state-contacted = Vous vous êtes parlé.
state-appointed = Le rendez-vous est convenu.
state-on_the_way = Votre Friend est en route.
state-in_progress = Votre Friend est au travail.
state-done = Votre Friend dit que c’est fait.
state-unsuccessful = Cela n’a pas pu être fait.
state-confirmed = C’est fait.
state-disputed = Vous avez contesté. Nous examinons la situation.
state-refunded = Vous avez été remboursé.
state-cancelled = La réservation est annulée.
state-expired = Personne n’a été trouvé à temps.
state-closed = La réservation est terminée.

## Questions that the server asks itself

question-too_vague = Les Friends ont trouvé la description trop vague. Que faut-il faire exactement, et avec quel appareil ?

## The customer's page

page-heading = Votre réservation chez { $brand }
page-loading = Un instant …
page-no_link = Ce lien ne mène nulle part, ou plus. Adressez-vous à l’entreprise chez qui vous avez réservé.
page-no_script = Cette page a besoin de JavaScript.
page-offline = Il n’y a pas de connexion. Nous continuons d’essayer.
page-what = Réservé
page-price = Prix
page-price_by_rate = À l’heure. Le tarif est connu dès que quelqu’un a accepté.
page-windows = Vous avez le temps
page-appointment = Rendez-vous
page-friend = Qui vient
page-contract_open = Votre contrat sera conclu avec le Friend qui accepte. { $brand } vous met en relation.
page-contract = Votre contrat est conclu avec { $friend }. { $brand } vous a mis en relation.
page-booked = Réservé le { $when }
page-until = Nous cherchons jusqu’au { $when }.
page-questions = À propos de votre réservation
page-required = nécessaire avant de pouvoir demander à quelqu’un
page-yes = Oui
page-no = Non
page-send = Envoyer
page-asked = Questions pour vous
page-reply = Votre réponse
page-proposals = Horaires proposés
page-proposals_text = Un Friend propose :
page-take = Prendre cet horaire
page-take_until = Ouvert jusqu’au { $when }, sauf si quelqu’un d’autre accepte avant.
page-messages = Messages
page-message = Votre message
page-from_you = Vous
page-from_friend = { $friend }
page-filtered = Les numéros de téléphone et les adresses sont retirés jusqu’à ce que quelqu’un ait accepté.
page-cancel = Annuler la réservation
page-cancel_reason = Raison (si vous le souhaitez)
page-cancel_now = Annuler maintenant
page-questions_open = { $count ->
    [one] Il manque encore une réponse.
   *[other] Il manque encore { $count } réponses.
}
page-saved = Merci, c’est enregistré.

## Days and hours

weekday-1 = lundi
weekday-2 = mardi
weekday-3 = mercredi
weekday-4 = jeudi
weekday-5 = vendredi
weekday-6 = samedi
weekday-7 = dimanche
month-1 = janvier
month-2 = février
month-3 = mars
month-4 = avril
month-5 = mai
month-6 = juin
month-7 = juillet
month-8 = août
month-9 = septembre
month-10 = octobre
month-11 = novembre
month-12 = décembre
time-day = { $weekday } { $day } { $month }
time-moment = { $date } à { $clock }
time-span = { $date }, de { $start } à { $end }
time-long_span = du { $start } au { $end }
