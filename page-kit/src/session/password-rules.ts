/** GET /api/password-policy */
export interface PasswordPolicy {
  minLength: number
  minClasses: number
  history: number
  maxAgeDays: number
}

const classes = [/[a-z]/, /[A-Z]/, /\d/, /[^a-zA-Z\d]/]

/** What can be said of a new password while it is typed; what only the server knows (common words, history) it says when asked. */
export function checkPassword(policy: PasswordPolicy, { current, next, again }: { current: string; next: string; again: string }) {
  return [
    { rule: 'length', n: policy.minLength, met: [...next].length >= policy.minLength },
    { rule: 'classes', n: policy.minClasses, met: classes.filter((kind) => kind.test(next)).length >= policy.minClasses },
    { rule: 'different', n: 0, met: next !== '' && next !== current },
    { rule: 'same', n: 0, met: next !== '' && next === again },
  ] as const
}
