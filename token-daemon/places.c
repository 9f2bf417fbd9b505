/*
 * places - how many of something that goes on for long one user may have.
 */
#include "token-daemon/places.h"

enum places_result
places_take(struct places *places, uid_t uid, bool is_trusted,
            struct place *place)
{
    size_t user_max = is_trusted ? places->trusted_max : places->user_max;
    const struct place *other;
    size_t of_user = 0;
    size_t of_kind = 0;

    LIST_FOREACH(other, &places->taken, link)
    {
        if (other->is_trusted != is_trusted)
            continue;
        of_kind++;
        if (other->uid == uid)
            of_user++;
    }
    if (of_user >= user_max)
        return PLACES_USER_FULL;
    if (!is_trusted && of_kind >= places->others_max)
        return PLACES_OTHERS_FULL;
    place->places = places;
    place->uid = uid;
    place->is_trusted = is_trusted;
    LIST_INSERT_HEAD(&places->taken, place, link);
    return PLACES_TAKEN;
}

void
places_leave(struct place *place)
{
    if (place->places == NULL)
        return;
    LIST_REMOVE(place, link);
    place->places = NULL;
}
